"""Training steps of the GANs in gans/ in PyTorch, with ganjax's random numbers."""

import jax
import jax.numpy as jnp
import numpy as np
import torch
import torch_layers as layers
from torch.nn import functional as F
from torch_layers import LOSSES, penalize, tensor

from ganjax.priors import PRIORS
from ganjax.steps import D_TAGS, G_TAGS, update_keys


def run_torch(config, state, batches):
    """Parameters by player after steps from a state; a step has a group of batches."""
    gan = GANS[config.gan](config)
    rates = {p: config[f"{p}_optimizer"].learning_rate for p in "gd"}
    g, d = (jax.tree.map(parameter, p.params) for p in (state.g, state.d))
    simultaneous = config.updates == "simultaneous"
    for step, group in enumerate(batches):
        g_keys = update_keys(state.key, jnp.int32(step), G_TAGS)
        for k in range(config.n_dis):
            batch, opponent = jax.tree.map(lambda x, k=k: to_torch(x[k]), group), d
            update = jnp.int32(step * config.n_dis + k)
            d_keys = update_keys(state.key, update, D_TAGS)
            generated = gan.generate(g, batch, g_keys if simultaneous else d_keys)
            constant = jax.tree.map(torch.detach, generated)
            d = descend(d, gan.d_loss(d, batch, constant, d_keys), rates["d"])
        if not simultaneous:
            opponent, generated = d, gan.generate(g, batch, g_keys)
        g = descend(g, gan.g_loss(opponent, batch, generated, step), rates["g"])
    return {"g": jax.tree.map(torch.detach, g), "d": jax.tree.map(torch.detach, d)}


def parameter(x):
    return tensor(x).requires_grad_()


def to_torch(x):
    """Pixels as [B, C, H, W] in [-1, 1], other arrays as they are."""
    if x.dtype != np.uint8:
        return tensor(x)
    return tensor(x).movedim(-1, 1) / 127.5 - 1


def descend(params, loss, rate):
    """One step of gradient descent; every parameter must matter."""
    leaves, structure = jax.tree.flatten(params)
    grads = jax.tree.unflatten(structure, torch.autograd.grad(loss, leaves))
    return jax.tree.map(lambda p, x: parameter(p.detach() - rate * x), params, grads)


class TorchGan:
    """What all of them have."""

    def __init__(self, config):
        self.config = config
        self.d, self.g = LOSSES[config.loss]

    def near_images(self, logits, generated, real):
        """The generator's loss where it is shown what to generate."""
        c, l1, l2 = self.config, F.l1_loss(generated, real), F.mse_loss(generated, real)
        return c.adversarial * self.g(*logits).mean() + c.l1 * l1 + c.l2 * l2


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
            real, fake = (
                layers.patch_discriminator(d[domain], x, norm=True)[0]
                for x in (real, fake)
            )
            total += function(real, fake).mean()
        return total

    def d_loss(self, d, batch, generated, keys):
        shown = self.exchange(list(zip(*generated[0], strict=True)), keys.noise)
        fakes = [torch.stack(x) for x in zip(*shown, strict=True)]
        return self.losses(self.d, d, batch, fakes) / 2

    def exchange(self, pairs, key):
        """Pairs of images, half of them replaced by those of the history."""
        slot_key, coin_key = jax.random.split(key)
        slots = np.asarray(jax.random.permutation(slot_key, self.config.history))
        heads = np.asarray(jax.random.bernoulli(coin_key, 0.5, (len(pairs),)))
        if len(self.history) < self.config.history:
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
        x = torch.cat([x, planes.expand(-1, -1, *x.shape[2:])], 1)
        return layers.encoder_decoder(g, x, self.config.generator)

    def generate(self, g, batch, keys):
        shape, domains = batch.labels.shape, self.config.num_domains
        targets = tensor(jax.random.randint(keys.labels, shape, 0, domains))
        fakes = self.translate(g, batch.images, targets)
        return fakes, targets, self.translate(g, fakes, batch.labels)

    def discriminate(self, d, x):
        """Logits [B] and logits of domains [B, K]."""
        logits, features = layers.patch_discriminator(d, x, norm=False)
        classes = layers.dense(d["Dense_0"], layers.flatten(features))
        return logits.mean((1, 2)), classes

    def d_loss(self, d, batch, generated, keys):
        def d_fn(x):
            return self.discriminate(d, x)[0]

        (images, labels), (fakes, _, _) = batch, generated
        classified = F.cross_entropy(self.discriminate(d, images)[1], labels.long())
        adversarial = self.d(d_fn(images), d_fn(fakes)).mean()
        loss = adversarial + self.config.classification * classified
        return loss + penalize(self.config, d_fn, images, fakes, keys)

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
        return self.near_images(logits, generated, batch)


class TextToImage(TorchGan):
    def generate(self, g, batch, keys):
        num, wordings, _ = batch.tokens.shape
        chosen = np.asarray(jax.random.randint(keys.labels, (num,), 0, wordings))
        tokens = torch.stack([batch.tokens[i, k] for i, k in enumerate(chosen)])
        code = layers.text_encoder(g["encoder"], tokens)
        z = torch.cat([sample_prior(self.config, keys.z, num), code], 1)
        start = (self.config.generator.channels[0], 2, 2)
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
        return self.near_images(logits, fakes, images)


class CRnnGan(TorchGan):
    def generate(self, g, batch, keys):
        num, length, _ = batch.shape
        z = sample_prior(self.config, keys.z, num * length).unflatten(0, (num, length))
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

        notes, _ = generated
        logits = d_fn(batch), d_fn(notes)
        penalty = penalize(self.config, d_fn, batch, notes, keys)
        trained = self.trained(self.d, self.g, logits)
        return trained * (self.d(*logits).mean() + penalty)

    def g_loss(self, d, batch, generated, step):
        c, (notes, predicted) = self.config, generated
        pairs = self.discriminate(d, batch), self.discriminate(d, notes)
        logits, (real, fake) = zip(*pairs, strict=True)
        features = ((real.mean((0, 1)) - fake.mean((0, 1))) ** 2).sum()
        loss = c.adversarial * self.g(*logits).mean() + c.feature_matching * features
        schedule = c.next_note  # exponential
        fraction = (schedule.end / schedule.start) ** (step / c.num_steps)
        error = schedule.start * fraction * F.mse_loss(predicted, batch)
        return self.trained(self.g, self.d, logits) * loss + error


def sample_prior(config, key, num):
    prior = PRIORS[config.prior.distribution]
    return tensor(prior(key, (num, config.prior.z_dim)))


GANS = {
    "crnn_gan": CRnnGan,
    "cyclegan": CycleGan,
    "srgan": SrGan,
    "stargan": StarGan,
    "text_to_image": TextToImage,
}
