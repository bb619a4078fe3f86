//! Whatever happens to the objects, configurations that were made step by step are those that are made from nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use mesh_ir::{Locality, ProxyKind, ProxyScope};
use proptest::prelude::*;

use super::Translator;
use crate::snapshot::testing::{changes, history};
use crate::snapshot::{Snapshot, SnapshotOptions};

fn scopes() -> Vec<ProxyScope> {
    let labels = |app: &str| BTreeMap::from([("app".to_owned(), app.to_owned())]);
    vec![
        ProxyScope::new(ProxyKind::Sidecar, "x", labels("special")),
        ProxyScope {
            address: Some([10, 1, 0, 2].into()),
            ..ProxyScope::new(ProxyKind::Sidecar, "x", labels("a"))
        },
        ProxyScope {
            locality: Some(Locality {
                region: "r".into(),
                ..Locality::default()
            }),
            ..ProxyScope::new(ProxyKind::Sidecar, "z", labels("b"))
        },
        ProxyScope::new(ProxyKind::Sidecar, "istio-system", BTreeMap::new()),
        ProxyScope {
            address: Some([1, 1, 1, 2].into()),
            ..ProxyScope::new(ProxyKind::Sidecar, "empty", labels("special"))
        },
        ProxyScope {
            captures_dns: true,
            ..ProxyScope::new(ProxyKind::Sidecar, "x", labels("a"))
        },
        ProxyScope::new(ProxyKind::Gateway, "x", labels("special")),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn configurations_made_step_by_step_are_those_made_from_nothing(history in history(), skip in 0usize..4) {
        let mut objects = BTreeMap::new();
        let snapshot = Arc::new(Snapshot::empty(&SnapshotOptions::default()));
        let mut translator = Translator::new(snapshot);
        for (index, step) in history.iter().enumerate() {
            let snapshot = translator.snapshot().next(&changes(step, &mut objects));
            translator = translator.next(Arc::new(snapshot));
            let built = Snapshot::build(objects.values().cloned().collect(), &SnapshotOptions::default()).0;
            for (number, scope) in scopes().iter().enumerate() {
                // Nobody has to ask every time.
                if (index + number) % 4 == skip {
                    continue;
                }
                let (config, diagnostics) = super::translate(&built, scope);
                let made = translator.translate(scope);
                prop_assert_eq!(&made.config.clusters, &config.clusters);
                prop_assert_eq!(&made.config.endpoints, &config.endpoints);
                prop_assert_eq!(&made.config.listeners, &config.listeners);
                prop_assert_eq!(&made.config.routes, &config.routes);
                prop_assert_eq!(&made.config.names, &config.names);
                prop_assert_eq!(&made.diagnostics, &diagnostics);
            }
        }
    }

    /// What a namespace has otherwise than everybody is found without looking at every host: it is what looking at every host gives.
    #[test]
    fn namespaces_are_laid_over_what_is_public(history in history()) {
        let mut objects = BTreeMap::new();
        for step in &history {
            changes(step, &mut objects);
        }
        let built = Snapshot::build(objects.values().cloned().collect(), &SnapshotOptions::default()).0;
        let cache = super::cache::TranslationCache::default();
        for scope in scopes() {
            let key = super::OutboundKey::of(&built, &scope);
            let public = Arc::new(super::Public::new(&built, &cache, &key.public()));
            let made = super::Outbound::new(&built, &cache, &key, &public);
            let alone = super::Outbound::alone(&built, &cache, &key);
            prop_assert_eq!(made.tables.to_config(), alone.to_config());
        }
    }
}
