"""The parameters of a world: everything that sessions simulated in it have in common."""

from __future__ import annotations

from dataclasses import dataclass

from neurohorizon.errors import ConfigError

NUM_LATENTS = 8
NUM_DIRECTIONS = 8
#: Latents in each block: preparation, first plane, second plane, transient, slow drift.
BLOCK_SIZES = (2, 2, 2, 1, 1)
#: Columns of a unit's history weights, in the order of `PopulationWorld.kernel_s`.
REFRACTORY, BURST, ADAPTATION = 0, 1, 2


@dataclass(frozen=True)
class PopulationWorld:
    """State the parameters of a population whose optimal forecast is known.

    Eight latents are shared by all units and follow the same laws in every session; each
    unit's log-rate is a linear function of them, plus a slowly drifting gain and the
    effect of the unit's own spikes.

    Parameters
    ----------
    grid_s, spike_step_s : float
        Steps of the latents and of the spikes, in seconds.
    preparation_tau_s, preparation_gain : float
        The two preparatory latents relax with this time constant toward
        ``gain * (cos a, sin a)`` of the coming direction `a` during preparation, and
        toward 0 otherwise.
    plane_hz, plane_decay_s : (float, float)
        Rotation frequency and decay time of the two damped planes.
    plane_kick : (float, float)
        Speed (1/s) at which a kick pushes each plane, for `kick_s` from movement onset.
    kick_s : float
    plane_noise : (float, float)
        Standard deviation added to each coordinate of each plane per `grid_s`.
    transient_tau_s, transient_drive, transient_s : float
        The condition-independent latent relaxes toward `transient_drive` for
        `transient_s` from movement onset, and toward 0 otherwise.
    slow_tau_s, slow_sd : float
        Time constant and stationary standard deviation of the slow latent.
    pause_min_s, pause_tau_s, preparation_min_s, preparation_mean_s, movement_s : float
        A pause lasts ``pause_min_s`` plus an exponential time of mean ``pause_tau_s``, a
        preparation likewise, a movement exactly ``movement_s``.
    block_loading : (float, float, float, float, float)
        Scale of the loadings on preparation, first plane, second plane, transient, slow.
    loading_shape : float
        A unit's loading on a block has a random direction, and a length of the block's
        scale times Gamma(shape, 1 / shape), of mean 1, drawn for each unit and block.
    median_rate_hz, log_rate_sd : float
        Logarithms of the units' mean latent-driven rates are normal around that of the
        first, within two standard deviations.
    max_rate_hz : float
        Bound on the latent-driven rate at any moment.
    kernel_s : (float, float, float)
        Time constants of the refractory, burst and adaptation kernels. The first two run
        from a unit's last spike, the third adds up over its spikes.
    refractory_weight, burst_weight, adaptation_weight : (float, float)
        Bounds of the uniform distribution of each kernel's weight over units.
    burst_fraction : float
        Share of units that burst; the others have burst weight 0.
    gain_tau_s, gain_sd : float
        Each unit's log-gain is an Ornstein-Uhlenbeck process of mean 0.
    velocity_base, velocity_noise : float
        Velocity is ``first plane * (velocity_base + transient)`` plus white noise of this
        standard deviation in each coordinate.
    has_trials : bool
        Without trials the planes are moved by their noise alone.
    running_tau_s : float
        Time constant of the running speed.
    running_share, running_weight : float, (float, float)
        Share of units that running drives, and bounds of the change of their log-rate per
        standard deviation of it, of either sign.
    num_pictures, picture_dimensions : int
        Pictures that are shown, and dimensions of their embedding.
    picture_s, picture_pause_s : float, (float, float)
        How long each is shown, and bounds of the pause after it.
    picture_latency_s, picture_rise_s : float
        Time from onset to the response's start, and from there to its peak.
    picture_share : float
        Share of units that pictures drive.
    picture_response, picture_tuning : (float, float), float
        Bounds of the log-rate that any picture adds at the peak, and standard deviation of
        what differs between pictures.

    Raises
    ------
    ConfigError
        If a grid step is no whole number of spike steps.

    Notes
    -----
    The numbers are those of the feasibility study on which the forecaster was designed.
    Where it left a choice, the one was taken with which rates (0.6 to 18 Hz, mean 4.9) and
    the ideal observer's scores come out as they did there: a Gamma factor for each unit and
    block; 4.5 Hz as the median of the mean rates, not of the rates at rest; a transient
    that relaxes toward its drive. Three bounds keep the tails of those distributions from
    making units that no one has recorded: base rates are cut at two standard deviations,
    the latents drive no unit above `max_rate_hz`, and the refractory and burst kernels
    restart at each spike (a sum over spikes runs away in units that burst strongly).
    """

    grid_s: float = 0.01
    spike_step_s: float = 0.002
    preparation_tau_s: float = 0.12
    preparation_gain: float = 1.3
    plane_hz: tuple[float, float] = (1.3, 2.5)
    plane_decay_s: tuple[float, float] = (0.5, 0.35)
    plane_kick: tuple[float, float] = (14.0, 12.0)
    kick_s: float = 0.15
    plane_noise: tuple[float, float] = (0.065, 0.07)
    transient_tau_s: float = 0.2
    transient_drive: float = 2.0
    transient_s: float = 0.35
    slow_tau_s: float = 15.0
    slow_sd: float = 0.8
    pause_min_s: float = 0.4
    pause_tau_s: float = 0.6
    preparation_min_s: float = 0.35
    preparation_mean_s: float = 0.2
    movement_s: float = 0.6
    block_loading: tuple[float, float, float, float, float] = (0.75, 0.6, 0.45, 0.45, 0.22)
    loading_shape: float = 1.6
    median_rate_hz: float = 4.5
    log_rate_sd: float = 0.75
    max_rate_hz: float = 200.0
    kernel_s: tuple[float, float, float] = (0.004, 0.012, 0.1)
    refractory_weight: tuple[float, float] = (-4.0, -1.0)
    burst_weight: tuple[float, float] = (0.3, 1.3)
    adaptation_weight: tuple[float, float] = (-0.35, 0.0)
    burst_fraction: float = 0.4
    gain_tau_s: float = 60.0
    gain_sd: float = 0.25
    velocity_base: float = 0.3
    velocity_noise: float = 0.1
    has_trials: bool = True
    running_tau_s: float = 2.0
    running_share: float = 0.3
    running_weight: tuple[float, float] = (0.3, 0.8)
    num_pictures: int = 60
    picture_dimensions: int = 32
    picture_s: float = 0.25
    picture_pause_s: tuple[float, float] = (0.25, 0.75)
    picture_latency_s: float = 0.04
    picture_rise_s: float = 0.06
    picture_share: float = 0.3
    picture_response: tuple[float, float] = (0.0, 0.6)
    picture_tuning: float = 0.8

    def __post_init__(self) -> None:
        substeps = self.grid_s / self.spike_step_s
        if substeps < 0.5 or abs(substeps - round(substeps)) > 1e-6:
            raise ConfigError(
                f"PopulationWorld: expected grid_s to be a whole multiple of spike_step_s, got "
                f"{self.grid_s:g} s and {self.spike_step_s:g} s"
            )
