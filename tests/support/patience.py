"""How long a test waits for what ends at once on an idle machine: nothing else than a hang takes this long on a loaded one."""

# Below what the kit itself would wait where a deadline of its own fails: 600 s and more.
HANG_S = 480
