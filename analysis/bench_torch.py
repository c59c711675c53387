#!/usr/bin/env python3
"""What the rows of `augmint bench` cost in PyTorch and Pillow, written as a competent user would.

It is driven by bench.py (--serve, or --serve --no-torch): one JSON request a line on standard input, one JSON answer a line on standard output.

    {"do": "about"}                            versions, and what is not here
    {"do": "variants", "row": NAME, "device": D}  the ways in which the row can be run here: eager ones; modes of compiled ones
    {"do": "open", "row": NAME, "variant": V, "threads": N, "tiny": bool, "images": DIR, "device": D}
                                               D: cpu (also where it is not given) or cuda
                                               builds, warms up, checks; seconds of a step, items of a step
    {"do": "time", "steps": N}                 seconds of the clock and of the processor for a step
    {"do": "close"}                            most memory that the process has held
    {"do": "export", "path": P}                weights of a ResNet-50 as P.pt and P.safetensors
    {"do": "draw", "path": DIR}                pictures for machines that have no photographs

A variant is {"dtype", "layout", "mode"}, for GANs with "freeze" too:
    dtype   fp32; bf16 (autocast, weights stay fp32); bf16-weights (everything in bf16: inference only)
    layout  nchw, nhwc (torch.channels_last)
    mode    eager; compile (torch.compile; for inference with freezing); jit (traced, frozen, optimised: inference); graphs
            (torch.compile with CUDA graphs, on a card, for steps that are shorter than their launches take)
    freeze  the discriminator's weights want no gradient in the generator's half of a step
Training updates with the fused optimiser where the version has one, else with foreach. On a card, fp32 may use TF32
and cuDNN tries its algorithms, as a user who wants speed lets them.
"""
import json
import os
import struct
import sys
import time
from pathlib import Path

try:
    if "--no-torch" in sys.argv:  # so that its memory is not counted as Pillow's
        raise ImportError
    import torch
    from torch import nn
except ImportError:
    torch = None
try:
    import PIL
    from PIL import Image
except ImportError:
    PIL = None

WARM_UP = 2
PHOTOS_MAX = 200  # as in src/bench/bench.h


def peak_bytes():
    """Most memory of this process (VmHWM)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0


DEVICE = "cpu"  # of the row that is open


def use_device(name):
    global DEVICE
    DEVICE = name
    if name == "cuda":
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
        torch.backends.cudnn.benchmark = True
        torch.cuda.reset_peak_memory_stats()


def wait_for_device():
    if DEVICE == "cuda":
        torch.cuda.synchronize()


def native_bf16():
    flags = next((l for l in Path("/proc/cpuinfo").read_text().splitlines() if l.startswith("flags")), "").split()
    return "avx512_bf16" in flags or "amx_bf16" in flags


# ---- networks: torchvision's ResNets and PyTorch's DCGAN example, defined here so that torchvision is not needed ----

if torch:
    class Block(nn.Module):
        """BasicBlock (kernels 3, 3) or Bottleneck (1, 3, 1, four times as wide at the end)."""

        def __init__(self, channels, width, stride, bottleneck):
            super().__init__()
            out = width * (4 if bottleneck else 1)
            shape = [(channels, width, 1, 1), (width, width, 3, stride), (width, out, 1, 1)] if bottleneck else \
                [(channels, width, 3, stride), (width, out, 3, 1)]
            for i, (a, b, kernel, step) in enumerate(shape, 1):
                setattr(self, f"conv{i}", nn.Conv2d(a, b, kernel, step, kernel // 2, bias=False))
                setattr(self, f"bn{i}", nn.BatchNorm2d(b))
            self.layers = len(shape)
            self.relu = nn.ReLU(inplace=True)
            self.downsample = None
            if stride != 1 or channels != out:
                self.downsample = nn.Sequential(nn.Conv2d(channels, out, 1, stride, bias=False), nn.BatchNorm2d(out))

        def forward(self, x):
            y = x
            for i in range(1, self.layers + 1):
                y = getattr(self, f"bn{i}")(getattr(self, f"conv{i}")(y))
                if i < self.layers:
                    y = self.relu(y)
            y += x if self.downsample is None else self.downsample(x)
            return self.relu(y)

    class ResNet(nn.Module):
        def __init__(self, blocks, bottleneck, classes, cifar, width=64):
            super().__init__()
            self.conv1 = nn.Conv2d(3, width, 3, 1, 1, bias=False) if cifar else \
                nn.Conv2d(3, width, 7, 2, 3, bias=False)
            self.bn1 = nn.BatchNorm2d(width)
            self.relu = nn.ReLU(inplace=True)
            self.pool = None if cifar else nn.MaxPool2d(3, 2, 1)
            channels = width
            for stage, count in enumerate(blocks):
                layers = []
                for k in range(count):
                    layers.append(Block(channels, width << stage, 2 if stage and not k else 1, bottleneck))
                    channels = (width << stage) * (4 if bottleneck else 1)
                setattr(self, f"layer{stage + 1}", nn.Sequential(*layers))
            self.avgpool = nn.AdaptiveAvgPool2d(1)
            self.fc = nn.Linear(channels, classes)
            for m in self.modules():
                if isinstance(m, nn.Conv2d):
                    nn.init.kaiming_normal_(m.weight, mode="fan_out", nonlinearity="relu")

        def forward(self, x):
            x = self.relu(self.bn1(self.conv1(x)))
            if self.pool is not None:
                x = self.pool(x)
            x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
            return self.fc(torch.flatten(self.avgpool(x), 1))

    def dcgan(latent, width, slope):
        g, channels = [], latent
        for k, out in enumerate([width * 8, width * 4, width * 2, width]):
            g += [nn.ConvTranspose2d(channels, out, 4, 2 if k else 1, 1 if k else 0, bias=False),
                  nn.BatchNorm2d(out), nn.ReLU(True)]
            channels = out
        g += [nn.ConvTranspose2d(channels, 3, 4, 2, 1, bias=False), nn.Tanh()]
        d, channels = [], 3
        for k, out in enumerate([width, width * 2, width * 4, width * 8]):
            d += [nn.Conv2d(channels, out, 4, 2, 1, bias=False)] + ([nn.BatchNorm2d(out)] if k else []) + \
                [nn.LeakyReLU(slope, inplace=True)]
            channels = out
        d += [nn.Conv2d(channels, 1, 4, 1, 0, bias=False), nn.Flatten(0)]
        networks = nn.Sequential(*g), nn.Sequential(*d)
        for network in networks:
            for m in network.modules():
                if isinstance(m, (nn.Conv2d, nn.ConvTranspose2d)):
                    nn.init.normal_(m.weight, 0, 0.02)
                elif isinstance(m, nn.BatchNorm2d):
                    nn.init.normal_(m.weight, 1, 0.02)
        return networks


RESNETS = {"resnet18": ([2, 2, 2, 2], False), "resnet50": ([3, 4, 6, 3], True)}


def make_resnet(name, classes, cifar, tiny):
    blocks, bottleneck = RESNETS[name]
    return ResNet(blocks, bottleneck, classes, cifar, 8 if tiny else 64)


def optimizer(kind, params, **settings):
    """The fastest form that this version has."""
    params = list(params)
    for form in ({"fused": True}, {"foreach": True}, {}):
        try:
            return kind(params, **settings, **form)
        except (TypeError, RuntimeError):
            continue
    raise RuntimeError(f"{kind.__name__} cannot be made")


def autocast(dtype):
    return torch.autocast(DEVICE, dtype=torch.bfloat16, enabled=dtype == "bf16")


def layout_of(variant):
    return torch.channels_last if variant["layout"] == "nhwc" else torch.contiguous_format


# ---- rows ----

class Train:
    """One training step of a classifier on images in memory."""
    dtypes = ("fp32", "bf16")
    modes = ("eager",)
    compiled = True

    def __init__(self, net, size, batch, classes, cifar=False):
        self.settings = net, size, batch, classes, cifar

    def open(self, variant, tiny, images):
        net, size, batch, classes, cifar = self.settings
        if tiny:
            size, batch, classes = 32, 4, 3
        self.variant, self.items = variant, batch
        torch.manual_seed(1)
        self.model = make_resnet(net, classes, cifar, tiny).to(DEVICE, memory_format=layout_of(variant))
        self.forward = torch.compile(self.model) if variant["mode"] == "compile" else self.model
        self.x = torch.randn(batch, 3, size, size, device=DEVICE).contiguous(memory_format=layout_of(variant))
        self.y = torch.arange(batch, device=DEVICE) % classes
        self.optim = optimizer(torch.optim.SGD, self.model.parameters(), lr=1e-3, momentum=0.9)

    def step(self):
        self.optim.zero_grad(set_to_none=True)
        with autocast(self.variant["dtype"]):
            self.loss = nn.functional.cross_entropy(self.forward(self.x), self.y)
        self.loss.backward()
        self.optim.step()

    def check(self):
        return float(self.loss.detach())


class Predict:
    """Logits of a batch."""
    dtypes = ("fp32", "bf16", "bf16-weights")
    modes = ("eager", "jit")
    compiled = True

    def __init__(self, net, size, batch, classes):
        self.settings = net, size, batch, classes

    def open(self, variant, tiny, images):
        net, size, batch, classes = self.settings
        if tiny:
            size, batch, classes = 32, min(batch, 4), 3
        self.variant, self.items = variant, batch
        torch.manual_seed(1)
        layout = layout_of(variant)
        dtype = torch.bfloat16 if variant["dtype"] == "bf16-weights" else torch.float32
        model = make_resnet(net, classes, False, tiny).eval().to(memory_format=layout, dtype=dtype)
        self.x = torch.randn(batch, 3, size, size, dtype=dtype).contiguous(memory_format=layout)
        if variant["mode"] == "compile":
            import torch._inductor.config as inductor
            inductor.freezing = True
            model = torch.compile(model)
        if variant["mode"] == "jit":
            with torch.no_grad(), autocast(variant["dtype"]):
                model = torch.jit.trace(model, self.x, check_trace=False)
                model = torch.jit.optimize_for_inference(torch.jit.freeze(model))
        self.model = model

    def step(self):
        # Freezing folds weights under no_grad only.
        mode = torch.no_grad() if self.variant["mode"] == "compile" else torch.inference_mode()
        with mode, autocast(self.variant["dtype"]):
            self.logits = self.model(self.x)

    def check(self):
        return float(self.logits.float().sum())


class Gan:
    """One step of PyTorch's DCGAN example: D on real, D on a detached fake, D's update, G through D, G's update."""
    dtypes = ("fp32", "bf16")
    modes = ("eager",)
    compiled = True
    freezes = (False, True)
    graphs = True

    def __init__(self, batch):
        self.batch = batch

    def open(self, variant, tiny, images):
        self.variant, self.items = variant, self.batch
        torch.manual_seed(1)
        layout = layout_of(variant)
        self.g, self.d = (m.to(DEVICE, memory_format=layout) for m in dcgan(10, 8 if tiny else 64, 0.02))
        how = {"compile": {}, "graphs": {"mode": "reduce-overhead"}}.get(variant["mode"])
        self.run_g, self.run_d = (m if how is None else torch.compile(m, **how) for m in (self.g, self.d))
        self.real = torch.randn(self.batch, 3, 64, 64, device=DEVICE).clamp(-1, 1).contiguous(memory_format=layout)
        self.ones, self.zeros = torch.ones(self.batch, device=DEVICE), torch.zeros(self.batch, device=DEVICE)
        self.optim_g, self.optim_d = (optimizer(torch.optim.Adam, m.parameters(), lr=2e-4, betas=(0.5, 0.999))
                                      for m in (self.g, self.d))
        self.d_params = list(self.d.parameters())

    def loss(self, images, target):
        with autocast(self.variant["dtype"]):
            logits = self.run_d(images)
        return nn.functional.binary_cross_entropy_with_logits(logits.float(), target)

    def want_d(self, on):
        for p in self.d_params if self.variant["freeze"] else ():
            p.requires_grad_(on)

    def step(self):
        if self.variant["mode"] == "graphs":
            torch.compiler.cudagraph_mark_step_begin()
        self.optim_d.zero_grad(set_to_none=True)
        self.loss(self.real, self.ones).backward()
        with autocast(self.variant["dtype"]):
            fake = self.run_g(torch.randn(self.batch, 10, 1, 1, device=DEVICE))
        self.loss(fake.detach(), self.zeros).backward()
        self.optim_d.step()
        self.optim_g.zero_grad(set_to_none=True)
        self.want_d(False)
        self.g_loss = self.loss(fake, self.ones)
        self.g_loss.backward()
        self.optim_g.step()
        self.want_d(True)

    def check(self):
        return float(self.g_loss.detach())


class Update:
    """An update of ResNet-50's parameters."""
    dtypes = ("fp32",)
    modes = ("eager",)
    compiled = False
    layouts = ("nchw",)

    def __init__(self, kind, passes, **settings):
        self.kind, self.passes, self.settings = kind, passes, settings

    def open(self, variant, tiny, images):
        torch.manual_seed(1)
        self.model = make_resnet("resnet50", 1000, False, tiny).to(DEVICE)
        params = list(self.model.parameters())
        for p in params:
            p.grad = 0.1 * p.detach()
        self.items = 1e-9 * 4 * self.passes * sum(p.numel() for p in params)
        self.optim = optimizer(getattr(torch.optim, self.kind), params, **self.settings)

    def step(self):
        self.optim.step()

    def check(self):
        return float(sum(p.detach().sum() for p in self.model.parameters()))


def photographs(folder):
    """As augmint finds them: .jpg, .jpeg, .png below the folder, by the bytes of their paths."""
    found = [p for p in Path(folder).rglob("*") if p.suffix.lower() in (".jpg", ".jpeg", ".png")]
    if not found:
        raise RuntimeError(f"no photograph below {folder}")
    return sorted(found, key=lambda p: os.fsencode(p.relative_to(folder)))


def prepare(path):
    with Image.open(path) as image:
        w, h = image.size
        size = (256, 256 * h // w) if w <= h else (256 * w // h, 256)
        image = image.convert("RGB").resize(size, Image.BILINEAR)
    left, top = round((size[0] - 224) / 2), round((size[1] - 224) / 2)
    return image.crop((left, top, left + 224, top + 224))


class Decode:
    """Pillow on one core: what torchvision's presets do, Resize(256) and CenterCrop(224) of an RGB image."""
    modes, compiled = ("Pillow",), False

    def open(self, variant, tiny, images):
        self.files = photographs(images)[:3 if tiny else PHOTOS_MAX]
        self.items = len(self.files)

    def step(self):
        self.sum = 0
        for path in self.files:
            self.sum += prepare(path).getpixel((0, 0))[0]

    def check(self):
        return self.sum


ROWS = {
    "resnet18-32": lambda: Train("resnet18", 32, 128, 10, cifar=True),
    "resnet18-64": lambda: Train("resnet18", 64, 128, 200),
    "resnet50-224": lambda: Train("resnet50", 224, 16, 1000),
    "predict-16": lambda: Predict("resnet50", 224, 16, 1000),
    "predict-1": lambda: Predict("resnet50", 224, 1, 1000),
    "dcgan-1": lambda: Gan(1),
    "dcgan-64": lambda: Gan(64),
    "resnet18-32-512": lambda: Train("resnet18", 32, 512, 10, cifar=True),
    "resnet50-224-256": lambda: Train("resnet50", 224, 256, 1000),
    "dcgan-128": lambda: Gan(128),
    "sgd": lambda: Update("SGD", 5, lr=1e-3, momentum=0.9),
    "adam": lambda: Update("Adam", 7, lr=1e-3),
    "decode": Decode,
}


def variants_of(row, device):
    if isinstance(row, Decode):
        return [{"dtype": "", "layout": "", "mode": "Pillow"}] if PIL else []
    if not torch:
        return []
    dtypes = [d for d in row.dtypes if d == "fp32" or device == "cuda" or native_bf16()]
    return [{"dtype": dtype, "layout": layout, "mode": mode, **({"freeze": f} if hasattr(row, "freezes") else {})}
            for mode in row.modes for dtype in dtypes for layout in getattr(row, "layouts", ("nchw", "nhwc"))
            for f in getattr(row, "freezes", (None,))]


def compiled_modes(row, device):
    if not row.compiled or not hasattr(torch, "compile"):
        return []
    return ["compile"] + ["graphs"] * (device == "cuda" and getattr(row, "graphs", False))


# ---- requests ----

class Server:
    row = None

    def about(self, _):
        return {"torch": torch.__version__ if torch else None, "pillow": PIL.__version__ if PIL else None,
                "python": sys.version.split()[0], "bf16": native_bf16(),
                "compile": bool(torch) and hasattr(torch, "compile"),
                "card": torch.cuda.get_device_name() if torch and torch.cuda.is_available() else None}

    def variants(self, request):
        row = ROWS[request["row"]]()
        return {"variants": variants_of(row, request.get("device", "cpu")),
                "compiled": compiled_modes(row, request.get("device", "cpu"))}

    def open(self, request):
        if torch:
            torch.set_num_threads(request["threads"])
            use_device(request.get("device", "cpu"))
        self.row = ROWS[request["row"]]()
        self.row.open(request["variant"], request["tiny"], request.get("images"))
        for _ in range(WARM_UP):
            began = time.perf_counter()
            self.row.step()
            wait_for_device()
            sec = time.perf_counter() - began
        check = self.row.check()
        if check != check or check in (float("inf"), float("-inf")):
            raise RuntimeError(f"the check is {check}")
        return {"step_sec": sec, "items": self.row.items, "check": check}

    def time(self, request):
        began, began_cpu = time.perf_counter(), time.process_time()
        for _ in range(request["steps"]):
            self.row.step()
        wait_for_device()
        return {"sec": (time.perf_counter() - began) / request["steps"],
                "cpu_sec": (time.process_time() - began_cpu) / request["steps"]}

    def export(self, request):
        """Weights of a ResNet-50 as PATH.pt and as PATH.safetensors."""
        torch.manual_seed(1)
        state = make_resnet("resnet50", 1000, False, False).state_dict()
        torch.save(state, request["path"] + ".pt")
        names = {torch.float32: "F32", torch.int64: "I64"}
        header, blobs, at = {}, [], 0
        for name, tensor in state.items():
            blobs.append(tensor.contiguous().numpy().tobytes())
            header[name] = {"dtype": names[tensor.dtype], "shape": list(tensor.shape),
                            "data_offsets": [at, at + len(blobs[-1])]}
            at += len(blobs[-1])
        text = json.dumps(header).encode()
        text += b" " * (-len(text) % 8)
        Path(request["path"] + ".safetensors").write_bytes(struct.pack("<Q", len(text)) + text + b"".join(blobs))
        return {}

    def draw(self, request):
        for i in range(24):
            smooth = Image.effect_noise((25, 19), 90).resize((500, 375), Image.BICUBIC)
            layers = [Image.blend(smooth.rotate(40 * (i + c)), Image.effect_noise((500, 375), 40), 0.3) for c in range(3)]
            Image.merge("RGB", layers).save(Path(request["path"]) / f"{i:02}.jpg", quality=90)
        return {}

    def close(self, _):
        self.row = None
        return {"peak_bytes": peak_bytes()}


def serve():
    # Whatever libraries print goes to standard error; answers have the real standard output alone.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    server = Server()
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = getattr(server, request["do"])(request)
        except Exception as error:  # whatever a variant dies of is its result
            text = (str(error).strip() or type(error).__name__).splitlines()[0]
            answer = {"error": f"{type(error).__name__}: {text}"[:300]}
        print(json.dumps(answer), file=answers, flush=True)


def predict(weights, folder, out, threads):
    """Logits of a folder, as a user's script. (Worker processes for decoding take longer to start than they save.)"""
    import numpy as np
    torch.set_num_threads(int(threads))
    model = make_resnet("resnet50", 1000, False, False).eval()
    model.load_state_dict(torch.load(weights, map_location="cpu"))
    model = model.to(memory_format=torch.channels_last)
    mean, sd = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1), torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    files = photographs(folder)

    class Folder(torch.utils.data.Dataset):
        def __len__(self):
            return len(files)

        def __getitem__(self, i):
            pixels = torch.from_numpy(np.asarray(prepare(files[i])).copy()).permute(2, 0, 1).float() / 255
            return (pixels - mean) / sd

    logits = []
    with torch.inference_mode():
        for x in torch.utils.data.DataLoader(Folder(), batch_size=16):
            logits.append(model(x.contiguous(memory_format=torch.channels_last)))
    np.save(out, torch.cat(logits).numpy())


if __name__ == "__main__":
    if sys.argv[1:2] == ["--predict"] and len(sys.argv) == 6:
        predict(*sys.argv[2:])
    elif sys.argv[1:2] == ["--serve"]:
        serve()
    else:
        sys.exit(__doc__)
