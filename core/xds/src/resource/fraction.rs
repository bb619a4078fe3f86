//! Shares of requests.

use envoy_types::pb::envoy::config::core::v3::RuntimeFractionalPercent;
use envoy_types::pb::envoy::r#type::v3::{FractionalPercent, fractional_percent::DenominatorType};
use mesh_ir::{Denominator, Fraction};

use super::border::{At, InvalidResource};

pub(super) fn to_proto(value: Fraction) -> FractionalPercent {
    let Fraction { numerator, per } = value;
    FractionalPercent {
        numerator,
        denominator: match per {
            Denominator::Hundred => DenominatorType::Hundred,
            Denominator::TenThousand => DenominatorType::TenThousand,
            Denominator::Million => DenominatorType::Million,
        }
        .into(),
    }
}

pub(super) fn from_proto(
    proto: FractionalPercent,
    at: &At<'_>,
) -> Result<Fraction, InvalidResource> {
    let FractionalPercent {
        numerator,
        denominator,
    } = proto;
    let per = match DenominatorType::try_from(denominator) {
        Ok(DenominatorType::Hundred) => Denominator::Hundred,
        Ok(DenominatorType::TenThousand) => Denominator::TenThousand,
        Ok(DenominatorType::Million) => Denominator::Million,
        Err(_) => return Err(at.field("denominator").unsupported()),
    };
    Ok(Fraction { numerator, per })
}

/// A share that nothing can change at run time.
pub(super) fn runtime(value: Fraction) -> RuntimeFractionalPercent {
    RuntimeFractionalPercent {
        default_value: Some(to_proto(value)),
        runtime_key: String::new(),
    }
}

pub(super) fn from_runtime(
    proto: RuntimeFractionalPercent,
    at: &At<'_>,
) -> Result<Fraction, InvalidResource> {
    open!(at, proto => RuntimeFractionalPercent {
        keep { default_value }
        refuse { runtime_key }
        ignore {}
    });
    from_proto(
        default_value.unwrap_or_default(),
        &at.field("default_value"),
    )
}
