"""The names, units and directions of the metrics, for tables, axis labels and the command line."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["METRICS", "Metric"]


class Metric(NamedTuple):
    """``unit`` ("" for none), ``better`` ("higher", "lower", "neither"), one sentence, source, axis label."""

    unit: str
    better: str
    description: str
    source: str
    label: str


#: name -> :class:`Metric`, in the order of a row of :func:`analysis.metrics.score`.
METRICS: dict[str, Metric] = {
    "pesq": Metric(
        "MOS-LQO", "higher", "Wide-band PESQ: perceived quality, 1.02 to 4.64.", "ITU-T P.862.2", "PESQ (wide-band)"
    ),
    "pesq_nb_raw": Metric(
        "MOS",
        "higher",
        "Raw narrow-band PESQ, -0.5 to 4.5; not comparable with the wide-band scale.",
        "ITU-T P.862",
        "PESQ (raw narrow-band)",
    ),
    "stoi": Metric("", "higher", "Short-time objective intelligibility, 0 to 1.", "Taal et al. 2011", "STOI"),
    "estoi": Metric("", "higher", "Extended STOI, for fluctuating noise, 0 to 1.", "Jensen and Taal 2016", "ESTOI"),
    "si_sdr": Metric("dB", "higher", "Scale-invariant ratio of speech to all errors.", "Le Roux et al. 2019", "SI-SDR"),
    "si_sir": Metric(
        "dB", "higher", "Scale-invariant ratio of speech to the noise left over.", "Le Roux et al. 2019", "SI-SIR"
    ),
    "si_sar": Metric(
        "dB",
        "higher",
        "Scale-invariant ratio of speech to errors that are neither speech nor noise.",
        "Le Roux et al. 2019",
        "SI-SAR",
    ),
    "speech_pesq": Metric(
        "MOS-LQO",
        "higher",
        "Wide-band PESQ of the filtered speech: distortion of the speech component alone.",
        "Fingscheidt and Suhadi 2007",
        "Speech-PESQ",
    ),
    "noise_attenuation": Metric(
        "dB",
        "higher",
        "How much weaker the noise component is after enhancement, over the whole clip; depends on level.",
        "Fingscheidt and Suhadi 2007",
        "Noise attenuation",
    ),
    "noise_attenuation_seg": Metric(
        "dB",
        "higher",
        "Noise attenuation averaged over 32 ms frames; depends on level.",
        "Lotter and Vary 2005",
        "Noise attenuation (segmental)",
    ),
    "speech_attenuation": Metric(
        "dB",
        "lower",
        "How much weaker the speech component is after enhancement; depends on level.",
        "Fingscheidt and Suhadi 2007",
        "Speech attenuation",
    ),
    "snr_improvement": Metric(
        "dB",
        "higher",
        "Noise attenuation minus speech attenuation; blind to a plain change of level.",
        "Fingscheidt and Suhadi 2007",
        "SNR improvement (NA - SA)",
    ),
    "dnsmos_sig": Metric(
        "MOS", "higher", "DNSMOS quality of the speech, about 1 to 5; no reference.", "Reddy et al. 2022", "DNSMOS SIG"
    ),
    "dnsmos_bak": Metric(
        "MOS",
        "higher",
        "DNSMOS quality of the background, about 1 to 5; no reference.",
        "Reddy et al. 2022",
        "DNSMOS BAK",
    ),
    "dnsmos_ovrl": Metric(
        "MOS", "higher", "DNSMOS quality of the whole, about 1 to 5; no reference.", "Reddy et al. 2022", "DNSMOS OVRL"
    ),
}
