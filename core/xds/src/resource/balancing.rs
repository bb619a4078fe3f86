//! How an endpoint is chosen: `lb_policy`, its settings, and what all policies have in common.

use envoy_types::pb::envoy::config::cluster::v3::cluster::{
    CommonLbConfig, LbConfig, LbPolicy, LeastRequestLbConfig, MaglevLbConfig, RingHashLbConfig,
    RoundRobinLbConfig, SlowStartConfig,
    common_lb_config::{LocalityConfigSpecifier, LocalityWeightedLbConfig},
};
use envoy_types::pb::envoy::config::core::v3::RuntimeDouble;
use envoy_types::pb::envoy::r#type::v3::Percent;
use envoy_types::pb::google::protobuf::UInt64Value;
use mesh_ir::{ConsistentHash, LoadBalancing, SlowStart};

use super::border::{At, InvalidResource};
use super::values;

/// Name under which a running Envoy would look for another value, which nobody gives it.
const AGGRESSION_KEY: &str = "upstream.slow_start.aggression";

/// Envoy's aggression where none is configured, in thousandths.
const DEFAULT_AGGRESSION: u32 = 1000;
/// Envoy's smallest weight where none is configured, in percent.
const DEFAULT_MINIMUM: f64 = 10.0;

pub(super) fn to_proto(
    balancing: LoadBalancing,
    slow_start: Option<SlowStart>,
) -> (LbPolicy, Option<LbConfig>) {
    let slow_start_config = slow_start.map(slow);
    match balancing {
        LoadBalancing::RoundRobin => {
            let config = LbConfig::RoundRobinLbConfig(RoundRobinLbConfig { slow_start_config });
            (LbPolicy::RoundRobin, slow_start.map(|_| config))
        }
        LoadBalancing::LeastRequest => {
            let config = LbConfig::LeastRequestLbConfig(LeastRequestLbConfig {
                slow_start_config,
                ..LeastRequestLbConfig::default()
            });
            (LbPolicy::LeastRequest, slow_start.map(|_| config))
        }
        LoadBalancing::Random => (LbPolicy::Random, None),
        LoadBalancing::ConsistentHash(ConsistentHash::RingHash { minimum_size }) => {
            let config = LbConfig::RingHashLbConfig(RingHashLbConfig {
                minimum_ring_size: minimum_size.map(|value| UInt64Value { value }),
                ..RingHashLbConfig::default()
            });
            (LbPolicy::RingHash, Some(config))
        }
        LoadBalancing::ConsistentHash(ConsistentHash::Maglev { table_size }) => {
            let config = LbConfig::MaglevLbConfig(MaglevLbConfig {
                table_size: table_size.map(|value| UInt64Value { value }),
            });
            (LbPolicy::Maglev, Some(config))
        }
        LoadBalancing::ClusterProvided => (LbPolicy::ClusterProvided, None),
    }
}

fn slow(value: SlowStart) -> SlowStartConfig {
    let SlowStart {
        window,
        aggression,
        minimum_percent,
    } = value;
    SlowStartConfig {
        slow_start_window: values::duration(window),
        aggression: Some(RuntimeDouble {
            default_value: f64::from(aggression) / 1000.0,
            runtime_key: AGGRESSION_KEY.to_owned(),
        }),
        min_weight_percent: Some(Percent {
            value: minimum_percent.into(),
        }),
    }
}

pub(super) fn from_proto(
    policy: i32,
    config: Option<LbConfig>,
    at: &At<'_>,
) -> Result<(LoadBalancing, Option<SlowStart>), InvalidResource> {
    let policy = LbPolicy::try_from(policy).map_err(|_| at.field("lb_policy").unsupported())?;
    let slow = |config: Option<SlowStartConfig>| {
        config
            .map(|config| from_slow(config, &at.field("slow_start_config")))
            .transpose()
    };
    match (policy, config) {
        (LbPolicy::RoundRobin, None) => Ok((LoadBalancing::RoundRobin, None)),
        (LbPolicy::RoundRobin, Some(LbConfig::RoundRobinLbConfig(config))) => {
            let RoundRobinLbConfig { slow_start_config } = config;
            Ok((LoadBalancing::RoundRobin, slow(slow_start_config)?))
        }
        (LbPolicy::LeastRequest, None) => Ok((LoadBalancing::LeastRequest, None)),
        (LbPolicy::LeastRequest, Some(LbConfig::LeastRequestLbConfig(config))) => {
            open!(&at.field("least_request_lb_config"), config => LeastRequestLbConfig {
                keep { slow_start_config }
                refuse { choice_count, active_request_bias }
                ignore {}
            });
            Ok((LoadBalancing::LeastRequest, slow(slow_start_config)?))
        }
        (LbPolicy::Random, None) => Ok((LoadBalancing::Random, None)),
        (LbPolicy::ClusterProvided, None) => Ok((LoadBalancing::ClusterProvided, None)),
        (LbPolicy::RingHash, config) => {
            let config = match config {
                None => RingHashLbConfig::default(),
                Some(LbConfig::RingHashLbConfig(config)) => config,
                Some(_) => {
                    return Err(at
                        .field("lb_policy")
                        .value("lb_config is of another policy"));
                }
            };
            open!(&at.field("ring_hash_lb_config"), config => RingHashLbConfig {
                keep { minimum_ring_size }
                refuse { hash_function, maximum_ring_size }
                ignore {}
            });
            let minimum_size = minimum_ring_size.map(|size| size.value);
            let ring = ConsistentHash::RingHash { minimum_size };
            Ok((LoadBalancing::ConsistentHash(ring), None))
        }
        (LbPolicy::Maglev, config) => {
            let table_size = match config {
                None => None,
                Some(LbConfig::MaglevLbConfig(MaglevLbConfig { table_size })) => table_size,
                Some(_) => {
                    return Err(at
                        .field("lb_policy")
                        .value("lb_config is of another policy"));
                }
            };
            let table_size = table_size.map(|size| size.value);
            let table = ConsistentHash::Maglev { table_size };
            Ok((LoadBalancing::ConsistentHash(table), None))
        }
        (LbPolicy::LoadBalancingPolicyConfig, _) => Err(at.field("lb_policy").unsupported()),
        (_, Some(_)) => Err(at.field("lb_config").unsupported()),
    }
}

fn from_slow(proto: SlowStartConfig, at: &At<'_>) -> Result<SlowStart, InvalidResource> {
    let SlowStartConfig {
        slow_start_window,
        aggression,
        min_weight_percent,
    } = proto;
    let aggression = match aggression {
        None => DEFAULT_AGGRESSION,
        Some(RuntimeDouble {
            default_value,
            runtime_key: _,
        }) => in_range(default_value * 1000.0, 4e9, &at.field("aggression"))? as u32,
    };
    let minimum = min_weight_percent.map_or(DEFAULT_MINIMUM, |percent| percent.value);
    Ok(SlowStart {
        window: values::from_duration(
            at.require("slow_start_window", slow_start_window)?,
            &at.field("slow_start_window"),
        )?,
        aggression,
        minimum_percent: in_range(minimum, 100.0, &at.field("min_weight_percent"))? as u8,
    })
}

/// The nearest whole number, if it is within 0 and a limit.
fn in_range(value: f64, limit: f64, at: &At<'_>) -> Result<f64, InvalidResource> {
    let rounded = value.round();
    if (0.0..=limit).contains(&rounded) {
        Ok(rounded)
    } else {
        Err(at.value(format!("{value} is out of range")))
    }
}

pub(super) fn common(
    weighted_localities: bool,
    panic_threshold: Option<u8>,
) -> Option<CommonLbConfig> {
    (weighted_localities || panic_threshold.is_some()).then(|| CommonLbConfig {
        healthy_panic_threshold: panic_threshold.map(|percent| Percent {
            value: percent.into(),
        }),
        locality_config_specifier: weighted_localities.then_some(
            LocalityConfigSpecifier::LocalityWeightedLbConfig(LocalityWeightedLbConfig {}),
        ),
        ..CommonLbConfig::default()
    })
}

/// Whether localities are weighted, and the panic threshold.
pub(super) fn from_common(
    proto: Option<CommonLbConfig>,
    at: &At<'_>,
) -> Result<(bool, Option<u8>), InvalidResource> {
    open!(at, proto.unwrap_or_default() => CommonLbConfig {
        keep { healthy_panic_threshold, locality_config_specifier }
        refuse { consistent_hashing_lb_config, override_host_status }
        ignore {
            update_merge_window, ignore_new_hosts_until_first_hc, close_connections_on_host_set_change,
        }
    });
    let weighted = match locality_config_specifier {
        None => false,
        Some(LocalityConfigSpecifier::LocalityWeightedLbConfig(LocalityWeightedLbConfig {})) => {
            true
        }
        Some(LocalityConfigSpecifier::ZoneAwareLbConfig(_)) => {
            return Err(at.field("zone_aware_lb_config").unsupported());
        }
    };
    let panic = at.field("healthy_panic_threshold");
    let threshold = healthy_panic_threshold
        .map(|percent| in_range(percent.value, 100.0, &panic).map(|percent| percent as u8))
        .transpose()?;
    Ok((weighted, threshold))
}
