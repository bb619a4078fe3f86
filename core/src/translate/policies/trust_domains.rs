//! Other names of the mesh's trust domain: an identity of one of them is that of all.

use std::sync::Arc;

use mesh_ir::policy::StringPattern;

use crate::model::MeshConfig;

/// What stands for the mesh's own trust domain in policies, whatever its name.
const DEFAULT: &str = "cluster.local";

/// All names of the mesh's trust domain.
pub(super) struct TrustDomainNames<'m> {
    own: &'m str,
    aliases: &'m [String],
}

// === impl TrustDomainNames ===

impl<'m> TrustDomainNames<'m> {
    pub(super) fn of(mesh: &'m MeshConfig) -> Self {
        Self {
            own: mesh.trust_domain(),
            aliases: &mesh.trust_domain_aliases,
        }
    }

    /// The patterns of a principal in all trust domains that it may be of.
    pub(super) fn principals(&self, text: &str) -> Vec<StringPattern> {
        let pattern = StringPattern::parse(text);
        let Some((domain, rest)) = text.split_once('/') else {
            return vec![pattern];
        };
        let is_meant = |known: &&str| match domain.strip_prefix('*') {
            Some(suffix) => known.ends_with(suffix),
            None => *known == domain || (domain == DEFAULT && *known == self.own),
        };
        let all = || {
            [self.own]
                .into_iter()
                .chain(self.aliases.iter().map(|alias| &**alias))
        };
        if domain == "*" || !all().any(|known| is_meant(&known)) {
            return vec![pattern];
        }
        let mut patterns = vec![pattern];
        for known in all() {
            let other = StringPattern::parse(&[known, "/", rest].concat());
            if !patterns.contains(&other) {
                patterns.push(other);
            }
        }
        patterns
    }
}

/// An exact pattern.
pub(super) fn exact(text: &str) -> StringPattern {
    StringPattern::Exact(Arc::from(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(own: Option<&str>, principal: &str, expect: &[&str]) {
        let mesh = MeshConfig {
            trust_domain: own.map(str::to_owned),
            trust_domain_aliases: vec!["old.example".to_owned()],
            ..MeshConfig::default()
        };
        let patterns = TrustDomainNames::of(&mesh).principals(principal);
        let texts: Vec<String> = patterns.iter().map(ToString::to_string).collect();
        assert_eq!(texts, expect, "{principal}");
    }

    #[test]
    fn a_principal_of_the_mesh_is_one_of_its_aliases() {
        check(
            None,
            "cluster.local/ns/a/sa/b",
            &["cluster.local/ns/a/sa/b", "old.example/ns/a/sa/b"],
        );
        check(
            None,
            "old.example/ns/a/*",
            &["old.example/ns/a/*", "cluster.local/ns/a/*"],
        );
        check(
            Some("new.example"),
            "cluster.local/ns/a/sa/b",
            &[
                "cluster.local/ns/a/sa/b",
                "new.example/ns/a/sa/b",
                "old.example/ns/a/sa/b",
            ],
        );
    }

    #[test]
    fn a_principal_of_anybody_else_stays() {
        for principal in ["other/ns/a/sa/b", "*", "*/ns/a/sa/b", "cluster.local*"] {
            check(None, principal, &[principal]);
        }
    }

    #[test]
    fn the_end_of_a_trust_domain_is_extended_where_it_is_that_of_the_mesh() {
        check(
            None,
            "*.local/ns/a/sa/b",
            &[
                "*.local/ns/a/sa/b",
                "cluster.local/ns/a/sa/b",
                "old.example/ns/a/sa/b",
            ],
        );
    }
}
