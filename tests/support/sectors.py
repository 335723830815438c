"""Boot sectors of a few instructions: machines that boot in a moment, even under software emulation."""

from __future__ import annotations

# 16-bit code. The text is written to the first serial port, then one of the endings runs.
_PRINT = bytes.fromhex(
    "31c0 8ed8"  # xor ax,ax; mov ds,ax
    "be007d"  # mov si,0x7d00            the text, half-way into the sector
    "baf803"  # mov dx,0x3f8             the serial port
    "ac 84c0 7403 ee ebf8"  # again: lodsb; test al,al; jz done; out dx,al; jmp again
)
ENDINGS = {
    # Waits for the power button (PM1 event register, bit 8) and then powers off (PM1 control, SLP_EN): SeaBIOS puts
    # the ACPI registers of both boards at 0x600.
    "polite": bytes.fromhex(
        "ba0206 b80001 ef"  # mov dx,0x602; mov ax,0x100; out dx,ax    enable the power button
        "ba0006 fb f4 ed f6c401 74f8"  # mov dx,0x600; again: sti; hlt; in ax,dx; test ah,1; jz again
        "ba0406 b80020 ef ebfe"  # mov dx,0x604; mov ax,0x2000; out dx,ax; jmp $
    ),
    "deaf": bytes.fromhex("fb f4 ebfc"),  # again: sti; hlt; jmp again
    # Writes the interrupt table over the second sector by the BIOS, and says W if that worked.
    "writing": bytes.fromhex(
        "31c0 8ec0 b80103 31db"  # xor ax,ax; mov es,ax; mov ax,0x0301; xor bx,bx    write one sector from 0:0
        "b90200 ba8000 cd13 7206"  # mov cx,2; mov dx,0x80; int 0x13; jc failed    first disk, sector 2
        "baf803 b057 ee"  # mov dx,0x3f8; mov al,'W'; out dx,al
        "fb f4 ebfc"  # failed: sti; hlt; jmp failed
    ),
    # Reads keys from the BIOS, and writes each to the screen and to the serial port.
    "echo": bytes.fromhex(
        "b400 cd16 b40e bb0700 cd10"  # again: mov ah,0; int 0x16; mov ah,0x0e; mov bx,7; int 0x10
        "baf803 ee ebef"  # mov dx,0x3f8; out dx,al; jmp again
    ),
    "off": bytes.fromhex("ba0406 b80020 ef ebfe"),
}


def boot_sector(ending: str, text: str) -> bytes:
    code = (_PRINT + ENDINGS[ending]).ljust(256, b"\0") + text.encode() + b"\0"
    assert len(code) <= 510
    return code.ljust(510, b"\0") + b"\x55\xaa"
