"use strict";
// Draws the charts of an exported page when they come into view, and switches them by its menus.
{
  const panels = JSON.parse(document.getElementById("panels").textContent);
  const dark = matchMedia("(prefers-color-scheme: dark)");
  // A file is read on white, also if it was made in the dark.
  const save = (plot) => {
    const layout = {...coloured(plot.layout, false), paper_bgcolor: "#ffffff", plot_bgcolor: "#ffffff"};
    const data = plot.data.map((trace) => shaded(trace, lights)).map((trace) =>
      trace.colorscale ? {...trace, colorscale: trace.colorscale.map(([at, colour]) => [at, colour === "#27323c" ? "#e8eaeb" : colour])} : trace);
    Plotly.downloadImage({data, layout}, {format: "svg", filename: plot.id, width: plot.clientWidth, height: plot.clientHeight});
  };
  const config = {
    responsive: true, displaylogo: false, displayModeBar: "hover", modeBarButtonsToRemove: ["toImage"],
    modeBarButtonsToAdd: [{name: "svg", title: "Download as SVG", icon: Plotly.Icons.camera, click: save}],
  };
  const drawn = new Set();
  const lights = {}; // of each dark shade that is drawn, its light one

  // Paper is white whatever the screen is; while the page gets ready, it is not yet on paper.
  let printing = false;
  const coloured = (layout, night = dark.matches && !printing) => {
    const [ink, grid, box] = night
      ? ["#e6e9ec", "#353c44", "#1d2126"]
      : ["#1b1f24", "#e1e4e8", "#ffffff"];
    const result = {
      ...layout,
      font: {...layout.font, color: ink},
      hoverlabel: {...layout.hoverlabel, bgcolor: box, bordercolor: grid, font: {color: ink}},
      // Over a clear background plotly would lay a grey bar.
      modebar: {bgcolor: "rgba(0,0,0,0)", color: ink, activecolor: "#0072b2"},
    };
    for (const name of ["xaxis", "yaxis", ...Object.keys(layout)]) {
      if (/^[xy]axis\d*$/.test(name)) result[name] = {gridcolor: grid, linecolor: grid, ...layout[name]};
    }
    return result;
  };

  // Zero, the middle of a diverging scale, must not shine in the dark.
  const scaled = (trace, night) =>
    Array.isArray(trace.colorscale)
      ? {...trace, colorscale: trace.colorscale.map(([at, colour]) => [at, colour === "#e8eaeb" && night ? "#27323c" : colour])}
      : trace;
  // Colours of the data have a shade of their own on a dark page.
  const PARTS = new Set(["line", "marker", "error_x", "error_y", "textfont"]);
  const shaded = (part, shades) => Object.fromEntries(Object.entries(part).map(([key, value]) => {
    if (typeof value === "string" && (key === "color" || key === "fillcolor")) return [key, shades[value] ?? value];
    if (Array.isArray(value) && key === "color") return [key, value.map((each) => shades[each] ?? each)];
    return [key, PARTS.has(key) && value ? shaded(value, shades) : value];
  }));
  const named = (trace) => (trace.meta?.short ? {...trace, name: trace.meta.short} : trace);
  const painted = (data, shades, night) =>
    data.map((trace) => scaled(night ? shaded(named(trace), shades) : named(trace), night));

  const draw = (panel) => {
    const key = panel.by.map((id) => document.getElementById(id).value).join(",");
    const {figure, shades, takeaway, note, details, count} = panel.figures[key];
    const place = document.getElementById(panel.id);
    place.setAttribute("aria-label", takeaway || figure.layout.title.text);
    document.getElementById(panel.id + "-takeaway").textContent = takeaway;
    document.getElementById(panel.id + "-note").textContent = note || `all ${count.toLocaleString("en")} points`;
    document.getElementById(panel.id + "-details").textContent = details;
    // Else a chart takes the smallest height of its place when the window is resized.
    place.style.height = `${figure.layout.height}px`;
    drawn.add(panel);
    for (const [light, night] of Object.entries(shades)) lights[night] = light;
    return Plotly.react(place, painted(figure.data, shades, dark.matches && !printing), coloured(figure.layout), config);
  };

  const seen = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (!entry.isIntersecting) continue;
      seen.unobserve(entry.target);
      draw(panels.find((panel) => panel.id === entry.target.id));
    }
  }, {rootMargin: "300px"});
  for (const panel of panels) seen.observe(document.getElementById(panel.id));

  for (const menu of document.querySelectorAll("select")) {
    menu.addEventListener("change", () => {
      for (const panel of drawn) if (panel.by.includes(menu.id)) draw(panel);
    });
  }
  dark.addEventListener("change", () => drawn.forEach(draw));
  addEventListener("beforeprint", () => print(true));
  addEventListener("afterprint", () => print(false));
  function print(now) {
    printing = now;
    document.body.classList.toggle("printing", now);
    (now ? panels : [...drawn]).forEach(draw);
  }

  const said = (id, words) => { document.getElementById(id + "-said").textContent = words; };
  const select = (node) => getSelection().selectAllChildren(node);
  for (const button of document.querySelectorAll("[data-copy]")) {
    const id = button.dataset.copy;
    const node = document.getElementById(id);
    button.addEventListener("click", () => {
      if (!navigator.clipboard) { select(node); said(id, "Selected: copy it with your keyboard."); return; }
      navigator.clipboard.writeText(node.textContent).then(
        () => said(id, "Copied."),
        () => { select(node); said(id, "Selected: copy it with your keyboard."); },
      );
    });
  }
  for (const button of document.querySelectorAll("[data-save]")) {
    button.addEventListener("click", () => {
      const words = document.getElementById(button.dataset.save).textContent;
      const link = document.createElement("a");
      link.href = URL.createObjectURL(new Blob([words], {type: "application/yaml"}));
      link.download = "config.yaml";
      link.click();
      URL.revokeObjectURL(link.href);
    });
  }
}
