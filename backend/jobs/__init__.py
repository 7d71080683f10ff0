"""Jobs: queued runs, the processes that work on them, and their supervision.

`supervisor` assigns runs to slots and restarts them; `local_executor` and `spawner` start
processes; `worker` is what runs in them; `inspections` answers questions that need torch.
"""
