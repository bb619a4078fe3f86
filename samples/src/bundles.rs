//! The YAML of each sample, ready to apply: workloads, gateway, and subsets by version.
//!
//! No bundle routes to one version only, so that all versions take turns until someone decides
//! otherwise, and none carries injection labels: injecting is the installer's decision.

/// A sample that can be applied as a whole.
#[derive(Debug)]
pub struct Bundle {
    /// The name that [`bundle`] takes.
    pub name: &'static str,
    /// Where the ingress gateway serves it.
    pub path: &'static str,
    /// All documents.
    pub yaml: &'static str,
}

/// All bundles, by name.
pub const BUNDLES: &[Bundle] = &[
    Bundle {
        name: "bookinfo",
        path: "/productpage",
        yaml: concat!(
            include_str!("../bookinfo/platform/kube/bookinfo.yaml"),
            "---\n",
            include_str!("../bookinfo/networking/bookinfo-gateway.yaml"),
            "---\n",
            include_str!("../bookinfo/networking/destination-rule-all.yaml"),
        ),
    },
    Bundle {
        name: "helloworld",
        path: "/hello",
        yaml: concat!(
            include_str!("../helloworld/helloworld.yaml"),
            "---\n",
            include_str!("../helloworld/helloworld-gateway.yaml"),
            "---\n",
            include_str!("../helloworld/destination-rule.yaml"),
        ),
    },
    Bundle {
        name: "website",
        path: "/",
        yaml: concat!(
            include_str!("../website/website.yaml"),
            "---\n",
            include_str!("../website/gateway.yaml"),
            "---\n",
            include_str!("../website/destination-rule.yaml"),
        ),
    },
];

/// The YAML of the sample `name`: `bookinfo`, `helloworld` or `website`.
pub fn bundle(name: &str) -> Option<&'static str> {
    let bundle = BUNDLES.iter().find(|bundle| bundle.name == name)?;
    Some(bundle.yaml)
}
