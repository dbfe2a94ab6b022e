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

# nvidia-smi --query-gpu=index,name,uuid,pci.bus_id,driver_version,memory.total,mig.mode.current --format=csv,noheader,nounits, in the form
# that its man page documents. The names are those of NVIDIA's list of supported products; places, UUIDs and drivers are the tests' own.
PCIE_40GB = "0, NVIDIA A100-PCIE-40GB, GPU-5d5ba0d6, 00000000:07:00.0, 580.95.05, 40960, Disabled\n"
RTX = "0, NVIDIA GeForce RTX 4090, GPU-9c8e1f2a, 00000000:01:00.0, 580.95.05, 24564, [N/A]\n"
CUT = (
    "0, NVIDIA A100-SXM4-80GB, GPU-8e100991, 00000000:07:00.0, 580.95.05, 81920, Enabled\n"
    "1, NVIDIA A100-SXM4-80GB, GPU-2a1f6c34, 00000000:0F:00.0, 580.95.05, 81920, Disabled\n"
)
# nvidia-smi -L, in the form that NVIDIA's Multi-Instance GPU User Guide shows
SLICES = """GPU 0: NVIDIA A100-SXM4-80GB (UUID: GPU-8e100991)
  MIG 3g.40gb     Device  0: (UUID: MIG-dcf43e8e)
  MIG 1c.2g.20gb  Device  1: (UUID: MIG-6b84cf06)
GPU 1: NVIDIA A100-SXM4-80GB (UUID: GPU-2a1f6c34)
"""
EIGHT_H100 = "".join(
    f"{number}, NVIDIA H100 80GB HBM3, GPU-{number}b3c, 00000000:{number:02X}:00.0, 580.95.05, 81559, Disabled\n"
    for number in range(8)
)

# hl-smi -Q name,driver_version,module_id,index,bus_id,memory.total -f csv,noheader: the fields stand in the vendor's documentation and in
# public scripts, the amount in the form of its table for people
GAUDI2 = "".join(
    f"HL-225, 1.10.0-494ae52, {7 - index}, {index}, 0000:{index:02x}:00.0, 98304 MiB\n" for index in range(8)
)
FIRST_GAUDI = "HL-205, 1.10.0-494ae52, 0, 0, 0000:19:00.0, 32768 MiB\n"
