//! The codes that findings may have.

/// A code with its name and its page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code {
    /// `IST0101`. Codes that begin with `IST` mean what they mean in Istio; ours begin with `MESH`.
    pub code: &'static str,
    /// `ReferencedResourceNotFound`.
    pub name: &'static str,
    /// The page that explains it, as Markdown.
    pub page: &'static str,
}

/// Codes that Istio no longer uses, with what took their place; none where nothing did.
pub const RETIRED: &[(&str, Option<&str>)] = &[
    ("IST0104", Some("IST0162")),
    ("IST0105", Some("IST0158")),
    ("IST0113", None),
    ("IST0114", None),
    ("IST0115", None),
    ("IST0117", None),
    ("IST0119", None),
    ("IST0120", None),
    ("IST0121", None),
    ("IST0122", Some("IST0106")),
    ("IST0124", None),
];

/// `code!("IST0101", "ReferencedResourceNotFound")`
macro_rules! code {
    ($code:literal, $name:literal) => {
        Code {
            code: $code,
            name: $name,
            page: include_str!(concat!("../../../docs/analysis/", $code, ".md")),
        }
    };
}

/// All codes, sorted.
pub const CODES: &[Code] = &[
    code!("IST0002", "Deprecated"),
    code!("IST0101", "ReferencedResourceNotFound"),
    code!("IST0102", "NamespaceNotInjected"),
    code!("IST0103", "PodMissingProxy"),
    code!("IST0106", "SchemaValidationError"),
    code!("IST0107", "MisplacedAnnotation"),
    code!("IST0108", "UnknownAnnotation"),
    code!("IST0109", "ConflictingMeshGatewayVirtualServiceHosts"),
    code!("IST0110", "ConflictingSidecarWorkloadSelectors"),
    code!("IST0111", "MultipleSidecarsWithoutWorkloadSelectors"),
    code!("IST0112", "VirtualServiceDestinationPortSelectorRequired"),
    code!("IST0116", "DeploymentAssociatedToMultipleServices"),
    code!("IST0118", "PortNameIsNotUnderNamingConvention"),
    code!("IST0123", "NamespaceMultipleInjectionLabels"),
    code!("IST0125", "InvalidAnnotation"),
    code!("IST0126", "UnknownMeshNetworksServiceRegistry"),
    code!("IST0127", "NoMatchingWorkloadsFound"),
    code!("IST0128", "NoServerCertificateVerificationDestinationLevel"),
    code!("IST0129", "NoServerCertificateVerificationPortLevel"),
    code!("IST0130", "VirtualServiceUnreachableRule"),
    code!("IST0131", "VirtualServiceIneffectiveMatch"),
    code!("IST0132", "VirtualServiceHostNotFoundInGateway"),
    code!("IST0133", "SchemaWarning"),
    code!("IST0134", "ServiceEntryAddressesRequired"),
    code!("IST0135", "DeprecatedAnnotation"),
    code!("IST0136", "AlphaAnnotation"),
    code!("IST0137", "DeploymentConflictingPorts"),
    code!("IST0138", "GatewayDuplicateCertificate"),
    code!("IST0139", "InvalidWebhook"),
    code!("IST0140", "IngressRouteRulesNotAffected"),
    code!("IST0144", "InvalidApplicationUID"),
    code!("IST0145", "ConflictingGateways"),
    code!("IST0146", "ImageAutoWithoutInjectionWarning"),
    code!("IST0147", "ImageAutoWithoutInjectionError"),
    code!("IST0148", "NamespaceInjectionEnabledByDefault"),
    code!("IST0149", "JwtClaimBasedRoutingWithoutRequestAuthN"),
    code!("IST0150", "ExternalNameServiceTypeInvalidPortName"),
    code!("IST0151", "EnvoyFilterUsesRelativeOperation"),
    code!("IST0152", "EnvoyFilterUsesReplaceOperationIncorrectly"),
    code!("IST0153", "EnvoyFilterUsesAddOperationIncorrectly"),
    code!("IST0154", "EnvoyFilterUsesRemoveOperationIncorrectly"),
    code!(
        "IST0155",
        "EnvoyFilterUsesRelativeOperationWithProxyVersion"
    ),
    code!("IST0157", "InvalidTelemetryProvider"),
    code!("IST0158", "PodsIstioProxyImageMismatchInNamespace"),
    code!("IST0159", "ConflictingTelemetryWorkloadSelectors"),
    code!("IST0160", "MultipleTelemetriesWithoutWorkloadSelectors"),
    code!("IST0161", "InvalidGatewayCredential"),
    code!("IST0162", "GatewayPortNotDefinedOnService"),
    code!("IST0163", "InvalidExternalControlPlaneConfig"),
    code!("IST0164", "ExternalControlPlaneAddressIsNotAHostname"),
    code!("IST0165", "ReferencedInternalGateway"),
    code!("IST0166", "IneffectiveSelector"),
    code!("IST0167", "IneffectivePolicy"),
    code!("IST0171", "NegativeConditionStatus"),
    code!("IST0173", "DestinationRuleSubsetNotSelectPods"),
    code!("IST0174", "UnknownDestinationRuleHost"),
    code!("IST0175", "JwksUriFetchUnrestricted"),
    code!("IST0176", "GatewayAPICRDVersionBelowMinimum"),
    code!("IST0177", "ConflictingServiceEntryProtocol"),
    code!("MESH0001", "HasNoEffect"),
    code!("MESH0002", "ObjectLosesConflict"),
    code!("MESH0003", "UnreadableDocument"),
    code!("MESH0004", "PartLeftOut"),
    code!("MESH0005", "TokenNotRequired"),
    code!("MESH0006", "DeniesByIdentityWithoutMutualTls"),
    code!("MESH0007", "RuleShadowed"),
    code!("MESH0008", "SelectsNothing"),
    code!("MESH0009", "WeightsNotAsMeant"),
    code!("MESH0010", "NoTimeForRetries"),
    code!("MESH0011", "HostNotServed"),
    code!("MESH0012", "PolicyCannotMatch"),
    code!("MESH0013", "SubsetWithoutReadyPods"),
    code!("MESH0014", "TlsModeMismatch"),
];

// === impl Code ===

impl Code {
    /// What is known of a code, in any case.
    pub fn of(code: &str) -> Option<&'static Code> {
        CODES
            .iter()
            .find(|known| known.code.eq_ignore_ascii_case(code))
    }

    /// What the code is about: the first sentence of its page.
    pub fn summary(&self) -> &'static str {
        let paragraphs = self.page.split("\n\n").skip(2);
        paragraphs.into_iter().next().map_or(self.name, str::trim)
    }

    /// How bad findings with the code are, as its page says.
    pub fn level(&self) -> &'static str {
        let mut lines = self.page.lines();
        lines
            .find_map(|line| line.strip_prefix("Level: "))
            .unwrap_or_default()
    }

    /// The page that explains a code.
    pub fn documentation_url(code: &str) -> String {
        const REPOSITORY: &str = env!("CARGO_PKG_REPOSITORY");
        const VERSION: &str = env!("CARGO_PKG_VERSION");
        format!("{REPOSITORY}/blob/v{VERSION}/docs/analysis/{code}.md")
    }
}
