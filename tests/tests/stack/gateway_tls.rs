//! TLS that ends at an ingress gateway, by certificates from Secrets.

use std::io::{self, Read as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use mesh_tests::eventually;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::certificates::{Authority, Leaf};
use crate::http::{Connection, connect};
use crate::mesh::{LIMIT, Mesh};
use crate::yaml::PodSpec;

const PODS: [PodSpec; 2] = [
    PodSpec::GATEWAY,
    PodSpec::serving("echo", "echo", "v1", "echo", 8080),
];

const CONFIG: &str = r#"
apiVersion: v1
kind: Service
metadata: {name: istio-ingressgateway, namespace: default}
spec:
  clusterIP: 10.96.0.200
  selector: {app: istio-ingressgateway}
  ports: [{name: https, port: 443, targetPort: 8443}]
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: front, namespace: default}
spec:
  selector: {app: istio-ingressgateway}
  servers:
    - port: {number: 443, name: https-shop, protocol: HTTPS}
      hosts: [shop.example.com]
      tls: {mode: SIMPLE, credentialName: shop}
    - port: {number: 443, name: https-bank, protocol: HTTPS}
      hosts: [bank.example.com]
      tls: {mode: MUTUAL, credentialName: bank}
    - port: {number: 443, name: https-late, protocol: HTTPS}
      hosts: [late.example.com]
      tls: {mode: SIMPLE, credentialName: late}
    - port: {number: 443, name: tls-echo, protocol: TLS}
      hosts: [bytes.example.com]
      tls: {mode: SIMPLE, credentialName: shop}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: front, namespace: default}
spec:
  hosts: [shop.example.com, bank.example.com, late.example.com]
  gateways: [front]
  http: [{route: [{destination: {host: echo}}]}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: bytes, namespace: default}
spec:
  hosts: [bytes.example.com]
  gateways: [front]
  tcp: [{route: [{destination: {host: echo}}]}]
"#;

/// A Secret of the type `kubernetes.io/tls`.
fn secret(name: &str, leaf: &Leaf, roots: &str) -> String {
    let Leaf { chain, key } = leaf;
    let data = serde_json::json!({"tls.crt": chain, "tls.key": key, "ca.crt": roots});
    format!(
        "---\napiVersion: v1\nkind: Secret\nmetadata: {{name: {name}, namespace: default}}\ntype: kubernetes.io/tls\nstringData: {data}\n"
    )
}

/// A client that believes an authority, and shows a certificate if it has one.
struct Client {
    config: Arc<ClientConfig>,
}

type Tls = StreamOwned<ClientConnection, TcpStream>;

impl Client {
    fn new(believes: &Authority, shows: Option<&Leaf>) -> Self {
        let mut roots = RootCertStore::empty();
        let root = CertificateDer::from_pem_slice(believes.pem().as_bytes());
        roots.add(root.unwrap()).unwrap();
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let config = match shows {
            None => builder.with_no_client_auth(),
            Some(Leaf { chain, key }) => {
                let chain = CertificateDer::from_pem_slice(chain.as_bytes()).unwrap();
                let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
                builder.with_client_auth_cert(vec![chain], key).unwrap()
            }
        };
        Self {
            config: Arc::new(config),
        }
    }

    fn connect(&self, gateway: SocketAddr, host: &str) -> io::Result<Connection<Tls>> {
        let name = host.to_owned().try_into().unwrap();
        let session = ClientConnection::new(self.config.clone(), name);
        let stream = connect(gateway)?;
        let stream = StreamOwned::new(session.map_err(io::Error::other)?, stream);
        Ok(Connection::over(stream))
    }

    /// The status of the answer to a request for a host.
    fn ask(&self, gateway: SocketAddr, host: &str) -> io::Result<u16> {
        let mut connection = self.connect(gateway, host)?;
        let request = format!("GET /headers HTTP/1.1\r\nhost: {host}\r\n\r\n");
        connection.send(request.as_bytes())?;
        Ok(connection.receive()?.status)
    }
}

#[test]
fn servers_end_tls_by_the_certificates_of_secrets() {
    let (authority, others) = (Authority::new(), Authority::new());
    let (shop, bank) = (
        authority.leaf("shop.example.com"),
        authority.leaf("bank.example.com"),
    );
    let bytes = authority.leaf("bytes.example.com");
    let config = |shop: &Leaf, rest: &str| {
        let shop = secret("shop", shop, "");
        let bank = secret("bank", &bank, authority.pem());
        [CONFIG, &shop, &bank, rest].concat()
    };
    let mut mesh = Mesh::start(&PODS, &config(&shop, ""));
    let gateway = mesh.pod("gateway").at(8443);
    let client = Client::new(&authority, None);
    eventually("the shop answers", LIMIT, || {
        client.ask(gateway, "shop.example.com").ok()
    });
    assert_eq!(client.ask(gateway, "shop.example.com").unwrap(), 200);

    // Who has no certificate, or one of somebody else, has no business with the bank.
    let customer = Client::new(&authority, Some(&authority.leaf("jo")));
    let stranger = Client::new(&authority, Some(&others.leaf("jo")));
    assert_eq!(customer.ask(gateway, "bank.example.com").unwrap(), 200);
    assert!(client.ask(gateway, "bank.example.com").is_err());
    assert!(stranger.ask(gateway, "bank.example.com").is_err());

    // A server without its Secret takes nothing from the others, and serves as soon as there is one.
    assert!(client.ask(gateway, "late.example.com").is_err());
    let late = authority.leaf("late.example.com");
    mesh.configure(&config(&shop, &secret("late", &late, "")));
    eventually("the late one answers", LIMIT, || {
        client.ask(gateway, "late.example.com").ok()
    });

    // A new certificate counts for new connections, and breaks none that are open.
    let mut open = client.connect(gateway, "shop.example.com").unwrap();
    let request = b"GET /headers HTTP/1.1\r\nhost: shop.example.com\r\n\r\n";
    open.send(request).unwrap();
    assert_eq!(open.receive().unwrap().status, 200);
    let renewed = others.leaf("shop.example.com");
    mesh.configure(&config(&renewed, ""));
    let other_client = Client::new(&others, None);
    eventually("the new certificate is shown", LIMIT, || {
        other_client.ask(gateway, "shop.example.com").ok()
    });
    assert!(client.ask(gateway, "shop.example.com").is_err());
    open.send(request).unwrap();
    assert_eq!(open.receive().unwrap().status, 200);

    // Bytes are not looked at: the server speaks HTTP, the gateway only TLS.
    mesh.configure(&config(&bytes, ""));
    eventually("bytes go through", LIMIT, || {
        client.ask(gateway, "bytes.example.com").ok()
    });

    // Without TLS there is nothing.
    let mut plain = connect(gateway).unwrap();
    io::Write::write_all(&mut plain, request).unwrap();
    let mut answer = Vec::new();
    plain.read_to_end(&mut answer).ok();
    assert_eq!(answer, b"");

    // Keys are shown by no page.
    let dump = mesh.pod("gateway").admin("/config_dump?include_eds").body;
    assert!(dump.contains("kubernetes://shop"), "{dump}");
    assert!(!dump.contains("PRIVATE KEY"), "{dump}");
}
