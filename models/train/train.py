"""Trains the default model on the cache.

/usr/bin/python3 models/train/train.py CACHE OUT.pt --steps 9000

Two views of an image, cropped and coloured differently and one of them often under a simulated cause, must have embeddings
nearer each other than those of all other images of the batch (InfoNCE; Chen et al. 2020, van den Oord et al. 2018), with
decorrelated components (VICReg; Bardes et al. 2022). The same image turned or mirrored counts as another. The embedding must also tell what generated the
image, how it was turned (Gidaris et al. 2018) and its colours; the channel means of the early maps tell the cause and its severity.
"""
import argparse
import glob
import os
import time

import numpy as np
import torch
import torch.nn.functional as F
from torch.utils.data import DataLoader, IterableDataset

from network import MEAN, STD, Heads, Network

SIDE = 144
# Families that have an upside.
ORIENTED = ('road', 'roadpart', 'scene', 'simulator', 'highway', 'indoor', 'outdoor')
CAUSES = 49


class Views(IterableDataset):
    """Batches of pairs: (2N x 3 x S x S, family, turn, cause, severity)."""

    def __init__(self, cache, batch, side, seed):
        self.batch, self.side, self.seed = batch, side, seed
        self.names = sorted(os.path.basename(f)[:-4] for f in glob.glob(os.path.join(cache, '*.bin')))
        self.cache = cache

    def open(self):
        shape = (-1, SIDE, SIDE, 3)
        self.clean, self.corrupted, self.causes = [], [], []
        for name in self.names:
            path = os.path.join(self.cache, name)
            size = SIDE * SIDE * 3
            count = os.path.getsize(path + '.bin') // size
            self.clean.append(np.memmap(path + '.bin', np.uint8, 'r', shape=(count, SIDE, SIDE, 3)))
            known = min(count, os.path.getsize(path + '.corrupted') // size) if os.path.exists(path + '.corrupted') else 0
            self.corrupted.append(np.memmap(path + '.corrupted', np.uint8, 'r', shape=(known, SIDE, SIDE, 3)) if known else [])
            self.causes.append(np.fromfile(path + '.causes', np.uint8)[: 2 * known].reshape(-1, 2) if known else [])
        share = np.array([len(c) for c in self.clean], float) ** 0.8
        self.share = share / share.sum()

    def __iter__(self):
        worker = torch.utils.data.get_worker_info()
        seed = self.seed * 1000 + (worker.id if worker else 0)
        torch.manual_seed(seed)
        torch.set_num_threads(1)
        rng = np.random.default_rng(seed)
        self.open()
        while True:
            yield self.draw(rng)

    def draw(self, rng):
        n = self.batch
        copies = n // 8
        picks = [(f, int(rng.integers(len(self.clean[f])))) for f in rng.choice(len(self.names), n - copies, p=self.share)]
        picks += picks[:copies]
        pixels = np.empty((2 * n, SIDE, SIDE, 3), np.uint8)
        cause, severity = np.zeros(2 * n, np.int64), np.zeros(2 * n, np.float32)
        for i, (f, k) in enumerate(picks):
            pixels[i] = pixels[n + i] = self.clean[f][k]
            if k < len(self.corrupted[f]) and rng.random() < 0.5:
                pixels[n + i] = self.corrupted[f][k]
                cause[n + i], severity[n + i] = 1 + self.causes[f][k][0], self.causes[f][k][1] / 5
        turn = rng.choice(4, n, p=[0.55, 0.15, 0.15, 0.15])
        mirror = rng.random(n) < 0.5
        # A copy is turned or mirrored otherwise than its original.
        for i in range(copies):
            j = n - copies + i
            turn[j], mirror[j] = ((turn[i] + 2) % 4, mirror[i]) if rng.random() < 0.6 else (turn[i], not mirror[i])
        x = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255
        x = self.look(x, np.tile(turn, 2), np.tile(mirror, 2), rng)
        isOriented = np.array([self.names[f] in ORIENTED for f, _ in picks])
        family = np.array([f for f, _ in picks])
        turn = np.where(isOriented, turn, -100)
        return (x, *(torch.from_numpy(np.tile(a, 2)) for a in (family, turn)), torch.from_numpy(cause), torch.from_numpy(severity))

    def look(self, x, turn, mirror, rng):
        """Crops, turns and mirrors, then changes light and sharpness."""
        m = len(x)
        area = rng.uniform(0.35, 1, m)
        aspect = np.exp(rng.normal(0, 0.12, m))
        sx, sy = np.minimum(1, np.sqrt(area) * aspect), np.minimum(1, np.sqrt(area) / aspect)
        tx, ty = rng.uniform(-1, 1, m) * (1 - sx), rng.uniform(-1, 1, m) * (1 - sy)
        c, s = np.round(np.cos(turn * np.pi / 2)), np.round(np.sin(turn * np.pi / 2))
        sign = np.where(mirror, -1, 1)
        theta = np.zeros((m, 2, 3), np.float32)
        theta[:, 0, 0], theta[:, 0, 1], theta[:, 0, 2] = sx * c * sign, -sx * s, tx
        theta[:, 1, 0], theta[:, 1, 1], theta[:, 1, 2] = sy * s * sign, sy * c, ty
        grid = F.affine_grid(torch.from_numpy(theta), (m, 3, self.side, self.side), align_corners=False)
        x = F.grid_sample(x, grid, padding_mode='reflection', align_corners=False)
        gain = np.exp(rng.normal(0, 0.18, (m, 1)) + rng.normal(0, 0.06, (m, 3))).astype(np.float32)
        contrast = np.exp(rng.normal(0, 0.15, (m, 1, 1, 1))).astype(np.float32)
        x = x * torch.from_numpy(gain)[:, :, None, None]
        mean = x.mean((1, 2, 3), keepdim=True)
        x = mean + (x - mean) * torch.from_numpy(contrast)
        soft = torch.from_numpy((rng.random(m) < 0.2) * rng.uniform(0, 1, m)).float()[:, None, None, None]
        x = x + soft * (F.avg_pool2d(x, 3, 1, 1, count_include_pad=False) - x)
        noise = torch.from_numpy((rng.random(m) < 0.3) * rng.exponential(0.02, m)).float()[:, None, None, None]
        x = (x + noise * torch.randn_like(x)).clamp_(0, 1)
        return (x - MEAN) / STD


def colours(x):
    """Mean of each channel in the four quarters, and its deviation."""
    return torch.cat([F.adaptive_avg_pool2d(x, 2).flatten(1), x.std((2, 3))], 1)


def contrast(z, temperature=0.2):
    """InfoNCE over the pairs (i, n + i)."""
    n = len(z) // 2
    z = F.normalize(z, dim=1)
    similar = z @ z.T / temperature
    similar.fill_diagonal_(-1e4)
    return F.cross_entropy(similar, torch.cat([torch.arange(n, 2 * n), torch.arange(n)]))


def decorrelation(e):
    """VICReg's variance and covariance terms."""
    e = e - e.mean(0)
    covariance = e.T @ e / (len(e) - 1)
    variance = F.relu(1 - torch.sqrt(covariance.diag() + 1e-4)).mean()
    return variance + 0.04 * (covariance - torch.diag(covariance.diag())).pow(2).sum() / len(covariance)


def main():
    options = argparse.ArgumentParser()
    options.add_argument('cache')
    options.add_argument('out')
    options.add_argument('--steps', type=int, default=9000)
    options.add_argument('--minutes', type=float, default=1e9, help='the learning rate ends with whichever comes first')
    options.add_argument('--batch', type=int, default=96)
    options.add_argument('--side', type=int, default=96)
    options.add_argument('--last', type=float, default=0.15, help='share of the end trained at 128 pixels')
    options.add_argument('--rate', type=float, default=2e-3)
    options.add_argument('--seed', type=int, default=1)
    options.add_argument('--bf16', action='store_true', help='twice as fast where the processor has AVX512_BF16 or a GPU')
    options.add_argument('--workers', type=int, default=1)
    options.add_argument('--threads', type=int, default=2)
    options = options.parse_args()
    torch.manual_seed(options.seed)
    torch.set_num_threads(options.threads)
    device = 'cuda' if torch.cuda.is_available() else 'cpu'

    def load(side, seed):
        views = Views(options.cache, options.batch, side, seed)
        return views.names, iter(DataLoader(views, batch_size=None, num_workers=options.workers, prefetch_factor=3))

    names, batches = load(options.side, options.seed)
    network = Network().to(device, memory_format=torch.channels_last)
    heads = Heads(len(names), CAUSES).to(device)
    decayed = [p for m in (network, heads) for p in m.parameters() if p.ndim > 1]
    plain = [p for m in (network, heads) for p in m.parameters() if p.ndim <= 1]
    optimiser = torch.optim.AdamW([{'params': decayed, 'weight_decay': 0.03}, {'params': plain, 'weight_decay': 0}], lr=options.rate)
    started = time.time()
    side, sums, step, done, saved = options.side, {}, 0, 0.0, time.time()
    while done < 1:
        done = max(step / options.steps, (time.time() - started) / 60 / options.minutes)
        if side != 128 and done > 1 - options.last:
            side = 128
            _, batches = load(side, options.seed + 1)
        rate = options.rate * min(1, (step + 1) / 200) * max(0.01, 0.5 * (1 + np.cos(np.pi * min(1, done))))
        for group in optimiser.param_groups:
            group['lr'] = rate
        x, family, turn, cause, severity = (t.to(device) for t in next(batches))
        colour = colours(x)
        with torch.autocast(device, dtype=torch.bfloat16, enabled=options.bf16):
            outputs = network(x.contiguous(memory_format=torch.channels_last))
        answer = heads(outputs)
        losses = {
            'instance': contrast(answer['projection']),
            'apart': 0.3 * decorrelation(outputs[0].float()),
            'family': 0.3 * F.cross_entropy(answer['family'], family),
            'turn': 0.4 * F.cross_entropy(answer['turn'], turn),
            'colour': 0.3 * F.mse_loss(answer['colour'], colour),
            'cause': 0.3 * F.cross_entropy(answer['cause'], cause),
            'severity': 1.0 * F.mse_loss(answer['severity'], severity),
        }
        optimiser.zero_grad(set_to_none=True)
        sum(losses.values()).backward()
        optimiser.step()
        for name, loss in losses.items():
            sums[name] = sums.get(name, 0) + float(loss.detach())
        step += 1
        if step % 100 == 0:
            text = ' '.join(f'{name} {total / 100:.3f}' for name, total in sums.items())
            print(f'{step} {(time.time() - started) / 60:.1f} min rate {rate:.1e} {text}', flush=True)
            sums = {}
        if time.time() - saved > 120 or done >= 1:
            saved = time.time()
            torch.save({'network': network.state_dict(), 'step': step}, options.out + '.part')
            os.replace(options.out + '.part', options.out)


if __name__ == '__main__':
    main()
