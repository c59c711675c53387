"""Makes dcgan.safetensors: four updates of a DCGAN in the order of PyTorch's example (D on real images, D on detached
fakes, D's step, G's step through the updated D; Adam 2e-4, betas 0.5 and 0.999), computed in f64, and for `many.`
beside it (`<name>.bf16`) what PyTorch makes of it under autocast to bf16. Needs torch, numpy,
safetensors; torch 2.15 made the stored file. Prefix `one.`: batch 1, as paper P4 trains; `many.`: batch 4.

    python3 tests/golden/make_dcgan.py
"""
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch.nn.functional import binary_cross_entropy_with_logits as bce

from make_state_dicts import dcgan_discriminator, dcgan_generator
from projection import IMAGES, LATENT, fill, noise, project, with_errors

LATENT_SIZE, WIDTH, SIZE, STEPS = 10, 16, 64, 4


def run(batch, dtype):
    """dtype bfloat16: the parameters are f32, and autocast computes."""
    autocast = torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16)
    dtype = torch.float32 if dtype == torch.bfloat16 else dtype

    def play(network, x):
        with autocast:
            return network(x).to(dtype)

    g, d = dcgan_generator(LATENT_SIZE, WIDTH, SIZE), dcgan_discriminator(0.02, 0.0, WIDTH, SIZE)
    for network in (g, d):
        with torch.no_grad():
            fill(network.state_dict())
        network.to(dtype)
    starts = {k: [p.detach().clone() for p in m.parameters()] for k, m in (("g", g), ("d", d))}
    optimizers = [torch.optim.Adam(m.parameters(), lr=2e-4, betas=(0.5, 0.999)) for m in (d, g)]
    out, losses = {}, []
    for step in range(STEPS):
        real = torch.from_numpy(noise(IMAGES + step, batch * 3 * SIZE * SIZE).reshape(batch, 3, SIZE, SIZE)).to(dtype)
        z = torch.from_numpy(noise(LATENT + step, batch * LATENT_SIZE).reshape(batch, LATENT_SIZE, 1, 1)).to(dtype)
        d.zero_grad()
        on_real = play(d, real).reshape(-1)
        loss_real = bce(on_real, torch.ones_like(on_real))
        loss_real.backward()
        fake = play(g, z)
        on_fake = play(d, fake.detach()).reshape(-1)
        loss_fake = bce(on_fake, torch.zeros_like(on_fake))
        loss_fake.backward()
        if step == 0:
            out["d_grad"] = project([p.grad for p in d.parameters()])
            out["fake"] = project([fake])
        optimizers[0].step()
        g.zero_grad()
        judged = play(d, fake).reshape(-1)
        loss_g = bce(judged, torch.ones_like(judged))
        loss_g.backward()
        if step == 0:
            out["g_grad"] = project([p.grad for p in g.parameters()])
        optimizers[1].step()
        losses += [loss_real.item(), loss_fake.item(), loss_g.item()]
        if step in (0, STEPS - 1):
            when = "last" if step else "first"
            for k, m in (("g", g), ("d", d)):
                out[f"{k}_update_{when}"] = project([p.detach() - s for p, s in zip(m.parameters(), starts[k])])
                out[f"{k}_stats_{when}"] = project([b for b in m.buffers() if b.is_floating_point()])
    out["losses"] = torch.tensor(losses, dtype=torch.float64)
    return out


if __name__ == "__main__":
    tensors = {}
    for prefix, batch in (("one", 1), ("many", 4)):
        print(prefix)
        stored = with_errors(run(batch, torch.float64), run(batch, torch.float32))
        tensors.update({f"{prefix}.{name}": value for name, value in stored.items()})
        if prefix == "many":
            half = run(batch, torch.bfloat16)
            tensors.update({f"{prefix}.{name}.bf16": value.double().contiguous() for name, value in half.items()})
    save_file(tensors, Path(__file__).with_name("dcgan.safetensors"))
