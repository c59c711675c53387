#!/usr/bin/env python3
"""Writes images.safetensors: files of every kind of PNG and JPEG, and their pixels by Pillow.

usage: make_images.py OUT.safetensors      (needs numpy, Pillow, safetensors)

file/NAME is the file, rgb/NAME is Image.open(file).convert("RGB"). 16-bit grey is the one exception:
there the wanted pixels are the high bytes, as for 16-bit colour.
"""
import io
import struct
import sys
import zlib

import numpy as np
from PIL import Image
from safetensors.numpy import save_file

GREY, RGB, PALETTE, GREY_ALPHA, RGBA = 0, 2, 3, 4, 6
CHANNELS = {GREY: 1, RGB: 3, PALETTE: 1, GREY_ALPHA: 2, RGBA: 4}
ADAM7 = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def pack_row(samples, bits):
    if bits == 16:
        return samples.astype(">u2").tobytes()
    if bits == 8:
        return samples.astype(np.uint8).tobytes()
    unpacked = (samples[:, None] >> np.arange(bits - 1, -1, -1)) & 1
    return np.packbits(unpacked.astype(np.uint8).ravel()).tobytes()


def png(samples, kind, bits, extra=b"", interlaced=False):
    """samples: (height, width, channels) integers; every row is stored unfiltered."""
    height, width, _ = samples.shape
    raw = b""
    for x0, y0, dx, dy in ADAM7 if interlaced else [(0, 0, 1, 1)]:
        part = samples[y0::dy, x0::dx]
        if part.size:
            raw += b"".join(b"\0" + pack_row(row.ravel(), bits) for row in part)
    header = struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, int(interlaced))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + chunk(b"IDAT", zlib.compress(raw))
            + chunk(b"IEND", b""))


def jpeg(image, **options):
    out = io.BytesIO()
    image.save(out, "JPEG", **options)
    return out.getvalue()


def main():
    rng = np.random.default_rng(3)

    def samples(kind, bits, top=None):
        return rng.integers(0, top or 1 << bits, (9, 13, CHANNELS[kind]))

    plte = chunk(b"PLTE", rng.integers(0, 256, 3 * 16, dtype=np.uint8).tobytes())
    trns = chunk(b"tRNS", bytes(range(0, 160, 10)))
    files = {}
    for bits in (1, 2, 4, 8, 16):
        files[f"grey{bits}"] = png(samples(GREY, bits), GREY, bits)
    for bits in (1, 2, 4, 8):
        files[f"palette{bits}"] = png(samples(PALETTE, bits, min(16, 1 << bits)), PALETTE, bits, plte)
    files["palette-short"] = png(samples(PALETTE, 8, 20), PALETTE, 8, plte)  # indices outside are black
    files["palette-transparent"] = png(samples(PALETTE, 4), PALETTE, 4, plte + trns)
    for bits in (8, 16):
        files[f"rgb{bits}"] = png(samples(RGB, bits), RGB, bits)
        files[f"grey-alpha{bits}"] = png(samples(GREY_ALPHA, bits), GREY_ALPHA, bits)
        files[f"rgba{bits}"] = png(samples(RGBA, bits), RGBA, bits)
    files["rgb-key"] = png(samples(RGB, 8), RGB, 8, chunk(b"tRNS", struct.pack(">3H", 1, 2, 3)))
    files["rgb-gamma"] = png(samples(RGB, 8), RGB, 8, chunk(b"gAMA", struct.pack(">I", 100000)))
    files["interlaced-rgb"] = png(samples(RGB, 8), RGB, 8, interlaced=True)
    files["interlaced-grey16"] = png(samples(GREY, 16), GREY, 16, interlaced=True)
    files["interlaced-palette2"] = png(samples(PALETTE, 2), PALETTE, 2, plte, interlaced=True)
    smooth = Image.fromarray(rng.integers(0, 256, (4, 5, 3), dtype=np.uint8)).resize((29, 22), Image.Resampling.BICUBIC)
    for subsampling, name in enumerate(["444", "422", "420"]):
        files[f"jpeg-{name}"] = jpeg(smooth, quality=70, subsampling=subsampling)
    files["jpeg-progressive"] = jpeg(smooth, quality=85, progressive=True)
    files["jpeg-grey"] = jpeg(smooth.convert("L"), quality=80)
    files["jpeg-cmyk"] = jpeg(smooth.convert("CMYK"), quality=90)
    turned = Image.Exif()
    turned[0x0112] = 6  # orientation: left alone
    files["jpeg-turned"] = jpeg(smooth, quality=90, exif=turned)

    out = {}
    for name, data in files.items():
        image = Image.open(io.BytesIO(data))
        if image.mode == "I;16":
            high = (np.array(image) >> 8).astype(np.uint8)
            out[f"rgb/{name}"] = np.repeat(high[:, :, None], 3, axis=2)
        else:
            out[f"rgb/{name}"] = np.array(image.convert("RGB"))
        out[f"file/{name}"] = np.frombuffer(data, np.uint8)
    save_file(out, sys.argv[1])


if __name__ == "__main__":
    main()
