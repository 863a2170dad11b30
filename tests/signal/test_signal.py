"""The transform against torch's own, its round trip for odd lengths, and the variance of the noise."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.errors import ArgumentError
from analysis.signal import Transform, complex_noise, level, pad_frames

TRANSFORM = Transform()


def tone_and_noise(samples: int, seed: int = 0, dtype=torch.float32) -> torch.Tensor:
    """Peak 1, all frequencies at work."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(samples, generator=generator, dtype=dtype) + 3 * torch.sin(torch.arange(samples, dtype=dtype) / 9)
    return x / x.abs().max()


def worst(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a - b).abs().max())


# -- transform ------------------------------------------------------------------------------------


@pytest.mark.parametrize("samples", [1, 2, 17, 127, 128, 129, 254, 255, 256, 383, 509, 510, 511, 1000, 16001, 32640])
def test_round_trip(samples):
    x = tone_and_noise(samples)
    spectrogram = TRANSFORM.spectrogram(x)
    assert spectrogram.dtype == torch.complex64
    assert spectrogram.shape == (256, samples // 128 + 1)
    assert worst(TRANSFORM.waveform(spectrogram, samples), x) < 1e-5


@settings(max_examples=40, deadline=None)
@given(samples=st.integers(1, 3000), loudness=st.floats(-80, 0), seed=st.integers(0, 100))
def test_round_trip_at_any_length_and_level(samples, loudness, seed):
    x = tone_and_noise(samples, seed) * 10 ** (loudness / 20)
    assert worst(TRANSFORM.waveform(TRANSFORM.spectrogram(x), samples), x) < 1e-5 * float(x.abs().max())


def test_the_training_crop_has_256_bins_and_256_frames():
    assert TRANSFORM.bins == 256
    assert TRANSFORM.spectrogram(torch.zeros(32640)).shape == (256, 256)


@pytest.mark.parametrize("n_fft, hop", [(510, 128), (512, 128), (64, 16), (400, 200), (63, 16)])
def test_round_trip_of_other_windows(n_fft, hop):
    x = tone_and_noise(3000)
    transform = Transform(n_fft, hop)
    spectrogram = transform.spectrogram(x)
    assert spectrogram.shape[0] == transform.bins == n_fft // 2 + 1
    # A shift of half the window leaves samples at window values near 0, which float32 divides by.
    assert worst(transform.waveform(spectrogram, 3000), x) < (1e-3 if hop == n_fft // 2 else 1e-5)


def test_agrees_with_the_centred_stft_of_torch_away_from_the_edges():
    """The published code pads by reflection; frames that see no padding, centre 255 samples or more inside, agree."""
    x = tone_and_noise(16000)
    window = torch.hann_window(510, periodic=True)
    published = torch.stft(x, 510, 128, 510, window, center=True, pad_mode="reflect", return_complex=True)
    ours = TRANSFORM.stft(x)
    assert published.shape == ours.shape
    inside = [i for i in range(ours.shape[1]) if 255 <= 128 * i <= 16000 - 255]
    assert len(inside) > 100
    assert worst(ours[:, inside], published[:, inside]) < 1e-4 * float(published.abs().max())


@pytest.mark.parametrize("n_fft, hop, samples", [(510, 128, 16000), (510, 128, 256), (510, 128, 511), (64, 16, 900)])
def test_reflected_edges_are_those_of_torch(n_fft, hop, samples):
    x, transform = tone_and_noise(samples), Transform(n_fft, hop, edges="reflection")
    published = torch.stft(x, n_fft, hop, window=torch.hann_window(n_fft), return_complex=True)
    assert worst(transform.stft(x), published) < 1e-6 * float(published.abs().max())
    assert worst(Transform(n_fft, hop).stft(x), published) > 1e-3 * float(published.abs().max())
    assert worst(transform.waveform(transform.spectrogram(x), samples), x) < 1e-5


@pytest.mark.parametrize("samples", [1, 100, 255])
def test_what_is_too_short_to_reflect_has_zeros_around_it(samples):
    x = tone_and_noise(samples)
    assert torch.equal(Transform(edges="reflection").stft(x), TRANSFORM.stft(x))


def test_a_cosine_stands_in_its_bin_with_half_the_windows_sum():
    k, n = 40, 510
    x = torch.cos(2 * math.pi * k * torch.arange(4096, dtype=torch.float64) / n)
    frame = TRANSFORM.stft(x)[:, 16].abs()
    assert int(frame.argmax()) == k
    assert float(frame[k]) == pytest.approx(n / 4, rel=1e-9)  # a periodic Hann window sums to n/2


def test_double_precision_stays_double():
    x = tone_and_noise(5000, dtype=torch.float64)
    spectrogram = TRANSFORM.spectrogram(x)
    assert spectrogram.dtype == torch.complex128
    assert worst(TRANSFORM.waveform(spectrogram, 5000), x) < 1e-12


def test_leading_axes_are_kept_and_independent():
    x = torch.stack([tone_and_noise(900, seed) for seed in range(6)]).reshape(2, 3, 900)
    spectrogram = TRANSFORM.spectrogram(x)
    assert spectrogram.shape == (2, 3, 256, 8)
    assert worst(spectrogram[1, 2], TRANSFORM.spectrogram(x[1, 2])) < 1e-6
    assert TRANSFORM.waveform(spectrogram, 900).shape == (2, 3, 900)


def test_a_cut_and_a_longer_length():
    x = tone_and_noise(2000)
    spectrogram = TRANSFORM.spectrogram(x)
    assert worst(TRANSFORM.waveform(spectrogram, 1500), x[:1500]) < 1e-5


# -- compression ----------------------------------------------------------------------------------


def test_compression_is_the_published_one():
    c = torch.tensor([4.0 + 0j, -9j, 3 + 4j], dtype=torch.complex64)
    wanted = torch.tensor([0.15 * 2 + 0j, -0.15j * 3, 0.15 * math.sqrt(5) * (0.6 + 0.8j)], dtype=torch.complex64)
    assert worst(TRANSFORM.compress(c), wanted) < 1e-7
    assert worst(TRANSFORM.expand(wanted), c) < 1e-5


@settings(max_examples=60, deadline=None)
@given(
    size=st.floats(1e-12, 1e3),
    angle=st.floats(-3.14, 3.14),
    alpha=st.sampled_from([0.3, 0.5, 0.667, 1.0]),
    beta=st.sampled_from([0.065, 0.15, 1.0]),
)
def test_compress_and_expand_are_inverse_and_keep_the_angle(size, angle, alpha, beta):
    transform = Transform(alpha=alpha, beta=beta)
    c = torch.polar(torch.tensor([size], dtype=torch.float64), torch.tensor([angle], dtype=torch.float64))
    small = transform.compress(c)
    assert float(small.abs()) == pytest.approx(beta * size**alpha, rel=1e-12)
    assert float(small.angle()) == pytest.approx(angle, abs=1e-12)
    assert worst(transform.expand(small), c) < 1e-12 * size


def test_zero_stays_zero():
    zero = torch.zeros(3, dtype=torch.complex64)
    for transform in (TRANSFORM, Transform(alpha=1, beta=1), Transform(alpha=0.1)):
        assert (transform.compress(zero) == 0).all() and (transform.expand(zero) == 0).all()
    silence = TRANSFORM.spectrogram(torch.zeros(1000))
    assert (silence == 0).all() and (TRANSFORM.waveform(silence, 1000) == 0).all()


def test_without_compression_it_is_the_plain_stft():
    x = tone_and_noise(1000)
    assert worst(Transform(alpha=1, beta=1).spectrogram(x), TRANSFORM.stft(x)) == 0


@pytest.mark.parametrize(
    "argument, value",
    [("n_fft", 2), ("hop", 0), ("hop", 256), ("alpha", 0), ("alpha", 1.5), ("beta", 0), ("beta", -1)]
    + [(name, math.nan) for name in ("alpha", "beta")]
    + [("edges", "reflect"), ("edges", None)],
)
def test_a_bad_transform_is_refused(argument, value):
    with pytest.raises(ArgumentError) as caught:
        Transform(**{argument: value})
    assert caught.value.argument == argument


# -- level, padding, noise ------------------------------------------------------------------------


def test_level_is_the_peak_and_one_for_silence():
    x = torch.tensor([[0.1, -0.5, 0.2], [0.0, 0.0, 0.0], [1e-30, 0.0, 0.0]])
    assert level(x).tolist() == [[0.5], [1.0], [pytest.approx(1e-30)]]
    assert (x[:2] / level(x[:2])).abs().amax(dim=1).tolist() == [1.0, 0.0]


@pytest.mark.parametrize("frames, padded", [(1, 64), (64, 64), (65, 128), (0, 0)])
def test_pad_frames(frames, padded):
    c = torch.ones(2, 5, frames, dtype=torch.complex64)
    longer, old = pad_frames(c, 64)
    assert old == frames and longer.shape == (2, 5, padded)
    assert worst(longer[..., :frames], c) == 0 if frames else True
    assert (longer[..., frames:] == 0).all()


@pytest.mark.parametrize("variance", [1.0, 0.25, 9.0])
def test_noise_has_half_the_stated_variance_in_each_part(variance):
    """n = 250000 draws: the mean square of a part, variance/2, has a relative standard error of sqrt(2/n) = 0.28 %."""
    n = 250_000
    z = complex_noise((n,), torch.Generator().manual_seed(3), variance)
    assert z.dtype == torch.complex64
    error = math.sqrt(2 / n)
    for part in (z.real, z.imag):
        assert float(part.square().mean()) == pytest.approx(variance / 2, rel=4 * error)
        assert abs(float(part.mean())) < 4 * math.sqrt(variance / 2 / n)
    assert float(z.abs().square().mean()) == pytest.approx(variance, rel=4 * math.sqrt(1 / n))
    # Circular: E z^2 = 0, the parts are uncorrelated and of one size.
    assert abs(complex(z.square().mean())) < 4 * variance * math.sqrt(1 / n)


def test_noise_is_the_generators():
    one = complex_noise((4, 5), torch.Generator().manual_seed(7))
    again = complex_noise((4, 5), torch.Generator().manual_seed(7))
    other = complex_noise((4, 5), torch.Generator().manual_seed(8))
    assert torch.equal(one, again) and not torch.equal(one, other)
    generator = torch.Generator().manual_seed(7)
    state = torch.random.get_rng_state()
    assert torch.equal(complex_noise([4, 5], generator), one)
    assert not torch.equal(complex_noise((4, 5), generator), one)  # the generator has moved on
    assert torch.equal(torch.random.get_rng_state(), state)  # and the global one hasn't
    assert complex_noise((2,), None, 4.0).shape == (2,)
    assert torch.allclose(complex_noise((4, 5), torch.Generator().manual_seed(7), 4.0), 2 * one)
