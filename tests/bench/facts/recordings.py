"""What the vendors' tools print, in the forms that their documents and public recordings show."""

from __future__ import annotations

# nvidia-smi --query-gpu=pci.bus_id,driver_version,clocks_event_reasons.active --format=csv,noheader
TABLE = "00000000:07:00.0, 525.105.17, 0x0000000000000001\n00000000:0F:00.0, 525.105.17, 0x0000000000000024\n"
# nvidia-smi --query-compute-apps=gpu_bus_id,pid --format=csv,noheader
APPS = "00000000:07:00.0, 4711\n00000000:0F:00.0, 4712\n00000000:07:00.0, 4713\n"

# hl-smi -Q name,driver_version,module_id -f csv,noheader
GAUDIS = "HL-225, 1.10.0-494ae52, 1\nHL-225, 1.10.0-494ae52, 0\n"
# hl-smi -L
GAUDI_VERSIONS = """
[1] AIP (hl1) 0000:b3:00.0
        Firmware [FIT] Version          : Linux gaudi2 5.10.18-hl-gaudi2-1.10.0-fw-43.2.0-sec-4 #1 SMP PREEMPT aarch64
        Firmware [SPI] Version          : Preboot version hl-gaudi2-1.10.0-fw-43.2.0-sec-4 (May 17 2023 - 20:08:22)
        Firmware [UBOOT] Version        : U-Boot 2021.04-hl-gaudi2-1.10.0-fw-43.2.0-sec-4
[0] AIP (hl0) 0000:19:00.0
        Firmware [SPI] Version          : Preboot version hl-gaudi2-1.10.0-fw-43.2.0-sec-4 (May 17 2023 - 20:08:22)
"""
