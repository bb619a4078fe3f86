//! How workloads ask for certificates: Istio's `istio.v1.auth.IstioCertificateService` on gRPC.
//!
//! A client sends a certificate signing request, and with it, in the metadata, the token that says who it is. The answer is a chain.

#[cfg(feature = "client")]
mod client;
#[cfg(feature = "server")]
mod server;

#[cfg(feature = "client")]
pub use client::CertificateClient;
#[cfg(feature = "server")]
pub use server::{CertificateServer, CertificateService};

/// Path that all methods of the service begin with.
pub const PREFIX: &str = "/istio.v1.auth.IstioCertificateService/";

/// Path of the method.
const CREATE_PATH: &str = "/istio.v1.auth.IstioCertificateService/CreateCertificate";

/// Largest message of either side, in bytes. A request holds one key, an answer a handful of certificates.
const MAX_MESSAGE: usize = 64 << 10;

/// `istio.v1.auth.IstioCertificateRequest`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct CertificateRequest {
    /// The certificate signing request, PEM. Only its key counts.
    #[prost(string, tag = "1")]
    pub csr: String,
    /// How long the certificate shall be valid, in seconds; 0 leaves it to the server.
    #[prost(int64, tag = "3")]
    pub validity_duration: i64,
}

/// `istio.v1.auth.IstioCertificateResponse`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct CertificateResponse {
    /// Certificates, PEM: the leaf first, the root last.
    #[prost(string, repeated, tag = "1")]
    pub cert_chain: Vec<String>,
}
