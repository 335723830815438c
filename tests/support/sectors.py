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
    # Plays a tone of 750 Hz on an AC97 sound card, without end; on the right channel half as loud as on the left.
    "tone": bytes.fromhex(
        "b802b1 b91524 ba8680 31f6 cd1a"  # PCI device 8086:2415: mov ax,0xb102; mov cx,…; mov dx,…; int 0x1a
        "b80bb1 bf0400 b90700 cd1a"  # it may use its ports and the memory: mov ax,0xb10b; mov di,4; mov cx,7; int 0x1a
        "b809b1 bf1000 cd1a 83e1fc 89ca"  # dx=the ports of its mixer, as the PCI configuration says at 0x10
        "31c0 ef 83c202 ef 83c216 b80808 ef"  # at 0: reset; at 2, all of it: 0 dB; at 0x18, PCM: 0 dB
        "b809b1 bf1400 cd1a 83e1fc 89cd"  # bp=the ports of its bus master, from 0x14
        "b80020 8ec0 31ff"  # mov ax,0x2000; mov es,ax; xor di,di          64 KiB of samples at 0x20000
        "89f9 b80020 f7c18000 7402 f7d8"  # again: mov cx,di; mov ax,0x2000; test cx,0x80; jz up; neg ax
        "ab d1f8 ab 85ff 75eb"  # up: stosw; sar ax,1; stosw; test di,di; jnz again
        "31c0 8ec0 bf0080 b92000"  # xor ax,ax; mov es,ax; mov di,0x8000; mov cx,32     that many descriptors of them
        "31c0 ab b80200 ab b80080 ab 31c0 ab e2f0"  # again: the address; 0x8000 samples; no flags; loop again
        "8d5610 66b800800000 66ef"  # lea dx,[bp+0x10]; mov eax,0x8000; out dx,eax    where they are
        "8d561b b001 ee"  # lea dx,[bp+0x1b]; mov al,1; out dx,al                     play
        "8d5614 ec 48 241f 42 ee fb f4 ebf3"  # again: the last to play is the one before this one; hlt; jmp again
    ),
    "off": bytes.fromhex("ba0406 b80020 ef ebfe"),
}


def boot_sector(ending: str, text: str) -> bytes:
    code = (_PRINT + ENDINGS[ending]).ljust(256, b"\0") + text.encode() + b"\0"
    assert len(code) <= 510
    return code.ljust(510, b"\0") + b"\x55\xaa"
