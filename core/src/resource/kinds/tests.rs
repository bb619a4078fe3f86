//! The table is complete, and finds what is asked for.

use std::collections::BTreeSet;

use super::*;

#[test]
fn groups_tell_kinds_of_the_same_name_apart() {
    let gateway = Some(Kind::Gateway);
    assert_eq!(Kind::of("networking.istio.io/v1alpha3", "Gateway"), gateway);
    let kubernetes = Some(Kind::KubernetesGateway);
    assert_eq!(
        Kind::of("gateway.networking.k8s.io/v1", "Gateway"),
        kubernetes
    );
    assert_eq!(Kind::of("serving.knative.dev/v1", "Service"), None);
    assert_eq!(
        Kind::of("extensions/v1beta1", "Deployment"),
        Some(Kind::Deployment)
    );
}

#[test]
fn every_kind_has_one_row_and_names_itself() {
    let mut seen = BTreeSet::new();
    for row in rows() {
        assert!(seen.insert(row.kind), "{:?} has two rows", row.kind);
        assert_eq!(row.kind.row().kind, row.kind);
        assert_eq!(Kind::of(row.api_version(), row.name), Some(row.kind));
        let resource = format!("{}.{}", row.plural, row.group());
        assert_eq!(Kind::named(resource.trim_end_matches('.')), Some(row.kind));
    }
}

#[test]
fn kinds_are_found_as_people_name_them() {
    for (text, kind) in [
        ("virtualservice", Some(Kind::VirtualService)),
        ("VirtualServices", Some(Kind::VirtualService)),
        ("vs", Some(Kind::VirtualService)),
        ("gateway", Some(Kind::Gateway)),
        (
            "gateways.gateway.networking.k8s.io",
            Some(Kind::KubernetesGateway),
        ),
        ("teapot", None),
    ] {
        assert_eq!(Kind::named(text), kind, "{text}");
    }
}

#[test]
fn what_the_control_plane_reads_when_installed_comes_from_a_definition() {
    for row in rows() {
        let custom = row.group().ends_with(".istio.io") || row.group().starts_with("gateway.");
        assert_eq!(
            row.watch == Watch::WhenInstalled,
            custom,
            "{:?} is watched {:?}",
            row.kind,
            row.watch
        );
    }
}
