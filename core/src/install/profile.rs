//! Profiles: the values to start from.

/// Values to start from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// Control plane and ingress gateway.
    Default,
    /// With an egress gateway, access logs and small requests, for trying things out.
    Demo,
    /// The control plane alone.
    Minimal,
    /// Nothing, to build upon.
    Empty,
}

// === impl Profile ===

impl Profile {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Default, Self::Demo, Self::Minimal, Self::Empty];

    /// The profile of a name.
    pub fn find(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|profile| profile.name() == name)
    }

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Demo => "demo",
            Self::Minimal => "minimal",
            Self::Empty => "empty",
        }
    }

    /// What it is for, in a line.
    pub const fn about(self) -> &'static str {
        match self {
            Self::Default => "control plane and ingress gateway",
            Self::Demo => {
                "with an egress gateway, access logs and small requests, for trying things out"
            }
            Self::Minimal => "the control plane alone",
            Self::Empty => "nothing, to build upon",
        }
    }

    /// Its values, YAML.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Default => include_str!("../../../manifests/profiles/default.yaml"),
            Self::Demo => include_str!("../../../manifests/profiles/demo.yaml"),
            Self::Minimal => include_str!("../../../manifests/profiles/minimal.yaml"),
            Self::Empty => include_str!("../../../manifests/profiles/empty.yaml"),
        }
    }
}
