//! The codes that findings may have.

/// A code with its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code {
    /// `IST0101`. Codes that begin with `IST` mean what they mean in Istio; ours begin with `MESH`.
    pub code: &'static str,
    /// `ReferencedResourceNotFound`.
    pub name: &'static str,
}

/// All codes, sorted.
pub const CODES: &[Code] = &[
    code("IST0101", "ReferencedResourceNotFound"),
    code("IST0106", "SchemaValidationError"),
    code("IST0109", "ConflictingMeshGatewayVirtualServiceHosts"),
    code("IST0118", "PortNameIsNotUnderNamingConvention"),
    code("IST0127", "NoMatchingWorkloadsFound"),
    code("IST0130", "VirtualServiceUnreachableRule"),
    code("IST0132", "VirtualServiceHostNotFoundInGateway"),
    code("IST0173", "DestinationRuleSubsetNotSelectPods"),
    code("MESH0001", "HasNoEffect"),
    code("MESH0002", "ObjectLosesConflict"),
    code("MESH0003", "UnreadableDocument"),
    code("MESH0004", "PartLeftOut"),
    code("MESH0005", "TokenNotRequired"),
    code("MESH0006", "DeniesByIdentityWithoutMutualTls"),
];

const fn code(code: &'static str, name: &'static str) -> Code {
    Code { code, name }
}

impl Code {
    /// The page that explains a code.
    pub fn documentation_url(code: &str) -> String {
        const REPOSITORY: &str = env!("CARGO_PKG_REPOSITORY");
        const VERSION: &str = env!("CARGO_PKG_VERSION");
        format!("{REPOSITORY}/blob/v{VERSION}/docs/analysis/{code}.md")
    }
}
