//! Who the control plane is and who may talk to it.
//!
//! ```text
//! authority (a root that only this process and its Secret know) -> serving certificates (`serving`)
//!         |-> roots: ConfigMap istio-ca-root-cert in every namespace, which proxies mount
//!         \-> workload certificates, issued to whom a token belongs
//! tokens: service account tokens of proxies, reviewed by the API server
//! secret access: which of them are given the Secrets of their namespace
//! ```

mod authority;
mod issuer;
mod rate;
mod remembered;
mod roots;
mod secret_access;
mod tokens;
mod workload;

pub use authority::Authority;
pub use issuer::CertificateIssuer;
pub use roots::publish as publish_roots;
pub use secret_access::{SecretAccess, SecretScope};
pub use tokens::{Identity, TokenError, TokenOwner, Tokens};
