# The lab on a CPU: `docker compose up`. For a GPU see the compose file's `gpu` profile.
FROM python:3.11-slim

# e.g. an index that carries torch's CPU build, which is a tenth of the default's size
ARG PIP_ARGS=""

RUN useradd --create-home --uid 1000 gradlab && install -d -o gradlab -g gradlab /home/gradlab/lab
WORKDIR /opt/gradlab

# Dependencies first: the code changes more often than they do.
COPY pyproject.toml setup.py README.md LICENSE ./
RUN python - <<'PY' > /tmp/requirements.txt
import tomllib
print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["dependencies"], sep="\n")
PY
RUN pip install --no-cache-dir ${PIP_ARGS} -r /tmp/requirements.txt

COPY gradlab gradlab
COPY estimators estimators
COPY backend backend
COPY frontend frontend
RUN pip install --no-cache-dir --no-deps .

USER gradlab
ENV GRADLAB_HOME=/home/gradlab/lab GRADLAB_HOST=0.0.0.0 GRADLAB_PORT=8642 PYTHONUNBUFFERED=1
VOLUME /home/gradlab/lab
EXPOSE 8642
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s CMD \
    ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8642/api/health', timeout=2)"]
# Exec form: the lab gets SIGTERM itself, checkpoints its runs and goes on with them when it is back.
CMD ["gradlab", "serve", "--no-open"]
