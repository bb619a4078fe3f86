//! Where copies of a rule's requests go.

use mesh_ir::Fraction;

use super::policy::fraction;
use super::{Compiler, Destination, Refused};
use crate::model::{HttpRoute, Percent};

// === impl Compiler ===

impl Compiler<'_> {
    /// The destinations of copies with the share of the requests that they get, which is not 0. A share that is not said is all.
    pub(super) fn mirrors(
        &mut self,
        rule: &HttpRoute,
    ) -> Result<Vec<(Destination, Fraction)>, Refused> {
        let whole = rule
            .mirror_percent
            .or(rule.mirror_percent_snake)
            .map(|percent| Percent {
                value: f64::from(percent),
            });
        let single = rule.mirror.as_ref().map(|destination| {
            let share = rule.mirror_percentage.as_ref().or(whole.as_ref());
            (destination, share)
        });
        let several = rule.mirrors.iter();
        let several =
            several.filter_map(|one| Some((one.destination.as_ref()?, one.percentage.as_ref())));
        let mut mirrors = Vec::new();
        for (destination, share) in single.into_iter().chain(several) {
            let share = share.map_or(Fraction::ALL, fraction);
            let destination = self.destination(destination)?;
            if share.numerator > 0 {
                mirrors.push((destination, share));
            }
        }
        Ok(mirrors)
    }
}
