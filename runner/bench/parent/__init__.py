"""The parent process of ``bench``: it starts one process per launch, checks what came back and publishes. Torch is never imported here."""
