"""Training steps of the GANs in gans/ in PyTorch, with ganjax's random numbers."""

import jax
import jax.numpy as jnp
import numpy as np
import torch
import torch_layers as layers
from torch.nn import functional as F

from ganjax.priors import PRIORS
from ganjax.steps import D_TAGS, G_TAGS, update_keys

# The losses of both players, as functions of real and fake logits.
LOSSES = {
    "lsgan": (lambda r, f: ((r - 1) ** 2 + f**2) / 2, lambda r, f: (f - 1) ** 2 / 2),
    "wgan": (lambda r, f: f - r, lambda r, f: -f),
    "relativistic": (lambda r, f: F.softplus(f - r), lambda r, f: F.softplus(r - f)),
    "non_saturating": (
        lambda r, f: F.softplus(-r) + F.softplus(f),
        lambda r, f: F.softplus(-f),
    ),
}


def run_torch(config, state, batches):
    """Parameters by player after steps from a state; `batches` as `train_step` has them
    in each step."""
    gan = GANS[config.gan](config)
    rates = {p: config[f"{p}_optimizer"].learning_rate for p in "gd"}
    g, d = (jax.tree.map(parameter, p.params) for p in (state.g, state.d))
    simultaneous = config.updates == "simultaneous"
    for step, group in enumerate(batches):
        g_keys = keys_of(state, step, G_TAGS)
        for k in range(config.n_dis):
            batch, opponent = jax.tree.map(lambda x, k=k: to_torch(x[k]), group), d
            d_keys = keys_of(state, step * config.n_dis + k, D_TAGS)
            generated = gan.generate(g, batch, g_keys if simultaneous else d_keys)
            constant = jax.tree.map(torch.detach, generated)
            d = descend(d, gan.d_loss(d, batch, constant, d_keys), rates["d"])
        if not simultaneous:
            opponent, generated = d, gan.generate(g, batch, g_keys)
        g = descend(g, gan.g_loss(opponent, batch, generated, step), rates["g"])
    return {p: jax.tree.map(to_numpy, tree) for p, tree in (("g", g), ("d", d))}


def keys_of(state, updates, tags):
    return update_keys(state.key, jnp.int32(updates), tags)


def parameter(x):
    return torch.tensor(np.asarray(x)).requires_grad_()


def to_torch(x):
    """Pixels as [B, C, H, W] in [-1, 1], other arrays as they are."""
    if x.dtype != np.uint8:
        return tensor(x)
    return tensor(x).movedim(-1, 1) / 127.5 - 1


def tensor(x):
    return torch.tensor(np.asarray(x))


def to_numpy(x):
    return x.detach().numpy()


def descend(params, loss, rate):
    """One step of gradient descent; every parameter must matter."""
    leaves, structure = jax.tree.flatten(params)
    grads = torch.autograd.grad(loss, leaves)
    new = [
        (p - rate * grad).detach().requires_grad_()
        for p, grad in zip(leaves, grads, strict=True)
    ]
    return jax.tree.unflatten(structure, new)


# --- penalties ----------------------------------------------------------------------


def squared_gradient_norm(d_fn, x):
    """[B]."""
    x = x.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(d_fn(x).sum(), x, create_graph=True)
    return (gradient**2).flatten(1).sum(1)


def penalize(config, d_fn, real, fake, keys):
    """The weighted sum of the penalties of a config."""
    total = 0.0
    used = sorted(name for name, weight in config.penalties.items() if weight)
    for i, name in enumerate(used):
        key = jax.random.fold_in(keys.penalty, i)
        if name == "wgan_gp":
            t = tensor(jax.random.uniform(key, (len(real), 1, 1, 1)))
            norm = squared_gradient_norm(d_fn, t * real + (1 - t) * fake).sqrt()
            value = (norm - 1) ** 2
        else:
            at = {"r1": [real], "r2": [fake], "r1_r2": [real, fake]}[name]
            value = sum(squared_gradient_norm(d_fn, x) for x in at) / 2
        total += config.penalties[name] * value.mean()
    return total


# --- GANs ---------------------------------------------------------------------------


class TorchGan:
    """What all of them have."""

    def __init__(self, config):
        self.config = config
        self.d, self.g = LOSSES[config.loss]

    def pixels(self, generated, real):
        """The weighted distances of generated from real images."""
        l1, l2 = F.l1_loss(generated, real), F.mse_loss(generated, real)
        return self.config.l1 * l1 + self.config.l2 * l2


class CycleGan(TorchGan):
    def __init__(self, config):
        super().__init__(config)
        self.history = []

    def translate(self, p, x):
        return layers.encoder_decoder(p, x, self.config.generator)

    def generate(self, g, batch, keys):
        (a, b), to_a, to_b = batch, g["ba"], g["ab"]
        fakes = self.translate(to_a, b), self.translate(to_b, a)
        cycles = self.translate(to_a, fakes[1]), self.translate(to_b, fakes[0])
        return fakes, cycles, (self.translate(to_a, a), self.translate(to_b, b))

    def losses(self, function, d, batch, fakes):
        """The sum of a loss over both domains and the mean over patches."""
        total = 0.0
        for domain, real, fake in zip("ab", batch, fakes, strict=True):
            logits = [
                layers.patch_discriminator(d[domain], x, norm=True)[0]
                for x in (real, fake)
            ]
            total += function(*logits).mean()
        return total

    def d_loss(self, d, batch, generated, keys):
        shown = self.exchange(list(zip(*generated[0], strict=True)), keys.noise)
        fakes = [torch.stack(x) for x in zip(*shown, strict=True)]
        return self.losses(self.d, d, batch, fakes) / 2

    def exchange(self, pairs, key):
        """Pairs of images, half of them replaced by those of the history."""
        size, num = self.config.history, len(pairs)
        slot_key, coin_key = jax.random.split(key)
        slots = np.asarray(jax.random.permutation(slot_key, size))
        heads = np.asarray(jax.random.bernoulli(coin_key, 0.5, (num,)))
        if len(self.history) < size:
            self.history += pairs
            return pairs
        for i in np.flatnonzero(heads):
            pairs[i], self.history[slots[i]] = self.history[slots[i]], pairs[i]
        return pairs

    def g_loss(self, d, batch, generated, step):
        fakes, cycles, same = generated
        cycle = sum(map(F.l1_loss, cycles, batch))
        identity = sum(map(F.l1_loss, same, batch))
        loss = self.losses(self.g, d, batch, fakes)
        return loss + self.config.cycle * cycle + self.config.identity * identity


class StarGan(TorchGan):
    def translate(self, g, x, domains):
        planes = F.one_hot(domains.long(), self.config.num_domains)[..., None, None]
        planes = planes.expand(-1, -1, *x.shape[2:])
        x = torch.cat([x, planes], 1)
        return layers.encoder_decoder(g, x, self.config.generator)

    def generate(self, g, batch, keys):
        images, labels = batch
        domains = self.config.num_domains
        targets = tensor(jax.random.randint(keys.labels, labels.shape, 0, domains))
        fakes = self.translate(g, images, targets)
        return fakes, targets, self.translate(g, fakes, labels)

    def discriminate(self, d, x):
        logits, features = layers.patch_discriminator(d, x, norm=False)
        classes = layers.dense(d["Dense_0"], layers.flatten(features))
        return logits.mean((1, 2)), classes

    def d_loss(self, d, batch, generated, keys):
        images, labels = batch
        real, classes = self.discriminate(d, images)
        fake, _ = self.discriminate(d, generated[0])
        classified = F.cross_entropy(classes, labels.long())
        loss = self.d(real, fake).mean() + self.config.classification * classified

        def d_fn(x):
            return self.discriminate(d, x)[0]

        return loss + penalize(self.config, d_fn, images, generated[0], keys)

    def g_loss(self, d, batch, generated, step):
        fakes, targets, cycles = generated
        fake, classes = self.discriminate(d, fakes)
        classified = F.cross_entropy(classes, targets.long())
        loss = self.g(None, fake).mean() + self.config.classification * classified
        return loss + self.config.reconstruction * F.l1_loss(cycles, batch[0])


class SrGan(TorchGan):
    def generate(self, g, batch, keys):
        c = self.config
        low = F.avg_pool2d(batch, c.factor)
        shape = (len(low), *low.shape[2:], c.z_channels)
        z = tensor(jax.random.normal(keys.z, shape)).movedim(-1, 1)
        return layers.super_resolution(g, low, z, c.generator, c.factor)

    def d_loss(self, d, batch, generated, keys):
        def d_fn(x):
            return layers.dcgan_discriminator(d, x)

        loss = self.d(d_fn(batch), d_fn(generated)).mean()
        return loss + penalize(self.config, d_fn, batch, generated, keys)

    def g_loss(self, d, batch, generated, step):
        logits = [layers.dcgan_discriminator(d, x) for x in (batch, generated)]
        adversarial = self.config.adversarial * self.g(*logits).mean()
        return adversarial + self.pixels(generated, batch)


class TextToImage(TorchGan):
    def generate(self, g, batch, keys):
        _, tokens = batch
        num, wordings, _ = tokens.shape
        z = tensor(sample_prior(self.config, keys.z, num))
        chosen = np.asarray(jax.random.randint(keys.labels, (num,), 0, wordings))
        tokens = torch.stack([tokens[i, k] for i, k in enumerate(chosen)])
        code = layers.text_encoder(g["encoder"], tokens)
        start = (self.config.generator.channels[0], 2, 2)
        z = torch.cat([z, code], 1)
        return layers.dcgan_generator(g["network"], z, start), tokens

    def d_loss(self, d, batch, generated, keys):
        (images, _), (fakes, tokens) = batch, generated

        def d_fn(x, tokens=tokens):
            return layers.text_discriminator(d, x, tokens)

        real, fake = d_fn(images), d_fn(fakes)
        wrong = d_fn(images, torch.cat([tokens[1:], tokens[:1]]))
        loss = (self.d(real, fake) + self.d(real, wrong)).mean() / 2
        return loss + penalize(self.config, d_fn, images, fakes, keys)

    def g_loss(self, d, batch, generated, step):
        (images, _), (fakes, tokens) = batch, generated
        logits = [layers.text_discriminator(d, x, tokens) for x in (images, fakes)]
        adversarial = self.config.adversarial * self.g(*logits).mean()
        return adversarial + self.pixels(fakes, images)


class CRnnGan(TorchGan):
    def generate(self, g, batch, keys):
        num, length, _ = batch.shape
        z = sample_prior(self.config, keys.z, num * length).reshape(num, length, -1)
        z = tensor(z)
        return layers.notes_generator(g, z), layers.notes_generator(g, z, batch)

    def discriminate(self, d, x):
        return layers.notes_discriminator(d, x, self.config.discriminator.average)

    def trained(self, own, other, logits):
        """1, or 0 while a player is ahead of the other."""
        zero = torch.zeros(())
        means = [f(*logits).mean() / f(zero, zero) for f in (own, other)]
        return float(means[0] >= self.config.freeze * means[1])

    def d_loss(self, d, batch, generated, keys):
        def d_fn(x):
            return self.discriminate(d, x)[0]

        logits = d_fn(batch), d_fn(generated[0])
        loss = self.d(*logits).mean()
        loss = loss + penalize(self.config, d_fn, batch, generated[0], keys)
        return self.trained(self.d, self.g, logits) * loss

    def g_loss(self, d, batch, generated, step):
        c = self.config
        notes, predicted = generated
        real, fake = self.discriminate(d, batch), self.discriminate(d, notes)
        logits = real[0], fake[0]
        loss = c.adversarial * self.g(*logits).mean()
        means = [outputs.mean((0, 1)) for _, outputs in (real, fake)]
        loss = loss + c.feature_matching * ((means[0] - means[1]) ** 2).sum()
        loss = loss * self.trained(self.g, self.d, logits)
        weight = c.next_note
        if not isinstance(weight, float):  # exponential
            weight = weight.start * (weight.end / weight.start) ** (step / c.num_steps)
        return loss + weight * F.mse_loss(predicted, batch)


def sample_prior(config, key, num):
    return PRIORS[config.prior.distribution](key, (num, config.prior.z_dim))


GANS = {
    "crnn_gan": CRnnGan,
    "cyclegan": CycleGan,
    "srgan": SrGan,
    "stargan": StarGan,
    "text_to_image": TextToImage,
}
