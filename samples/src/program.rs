//! The table of all programs, and how one of them runs.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;

use crate::bookinfo::{Details, ProductPage, Ratings, Reviews};
use crate::config::Config;
use crate::echo::Echo;
use crate::ext_authz::{self, ExtAuthz};
use crate::handler::Handler;
use crate::hello::{Flags, Hello};
use crate::helloworld::HelloWorld;
use crate::server;
use crate::website::Website;

/// One program of this crate.
#[derive(Debug)]
pub struct Program {
    /// The name that [`run`] takes, such as `reviews-v2`.
    pub name: &'static str,
    /// The port that it listens on unless `PORT` or an argument says otherwise.
    pub port: u16,
    /// What it is, in a few words.
    pub about: &'static str,
    build: fn(&Config) -> anyhow::Result<App>,
}

/// A program that is ready to serve.
struct App {
    handler: Arc<dyn Handler>,
    /// A port that the program's own arguments ask for.
    port: Option<u16>,
    /// What answers by gRPC beside that; none for most.
    grpc: Option<ext_authz::Flags>,
}

const PROGRAMS: &[Program] = &[
    Program {
        name: "productpage",
        port: 9080,
        about: "bookinfo: the page, calls details and reviews",
        build: |config| ProductPage::new(config).map(App::new),
    },
    Program {
        name: "details",
        port: 9080,
        about: "bookinfo: facts about the book",
        build: |config| Ok(App::new(Details::new(config))),
    },
    Program {
        name: "reviews-v1",
        port: 9080,
        about: "bookinfo: reviews without stars",
        build: |config| Reviews::new(config, "v1", None).map(App::new),
    },
    Program {
        name: "reviews-v2",
        port: 9080,
        about: "bookinfo: reviews with black stars, calls ratings",
        build: |config| Reviews::new(config, "v2", Some("black")).map(App::new),
    },
    Program {
        name: "reviews-v3",
        port: 9080,
        about: "bookinfo: reviews with red stars, calls ratings",
        build: |config| Reviews::new(config, "v3", Some("red")).map(App::new),
    },
    Program {
        name: "ratings",
        port: 9080,
        about: "bookinfo: stars of each reviewer",
        build: |config| Ok(App::new(Ratings::new(config))),
    },
    Program {
        name: "website-v1",
        port: 80,
        about: "website: version 1, blue",
        build: |config| Ok(App::new(Website::new(config, 1))),
    },
    Program {
        name: "website-v2",
        port: 80,
        about: "website: version 2, green",
        build: |config| Ok(App::new(Website::new(config, 2))),
    },
    Program {
        name: "website-v3",
        port: 80,
        about: "website: version 3, orange",
        build: |config| Ok(App::new(Website::new(config, 3))),
    },
    Program {
        name: "hello",
        port: 7777,
        about: "hello: calls world and puts its own word before the answer",
        build: |config| hello(config, "Hello", Some("world")),
    },
    Program {
        name: "world-v1",
        port: 7778,
        about: "hello: the called one, answers world",
        build: |config| hello(config, "world", None),
    },
    Program {
        name: "world-v2",
        port: 7778,
        about: "hello: the called one, answers earth",
        build: |config| hello(config, "earth", None),
    },
    Program {
        name: "helloworld-v1",
        port: 5000,
        about: "helloworld: version v1 at /hello",
        build: |config| Ok(App::new(HelloWorld::new(config, "v1"))),
    },
    Program {
        name: "helloworld-v2",
        port: 5000,
        about: "helloworld: version v2 at /hello",
        build: |config| Ok(App::new(HelloWorld::new(config, "v2"))),
    },
    Program {
        name: "echo",
        port: 8080,
        about: "echo: reports what it received; statuses and delays on request",
        build: |config| Ok(App::new(Echo::new(config))),
    },
    Program {
        name: "httpbin",
        port: 80,
        about: "echo on the port of the public httpbin image",
        build: |config| Ok(App::new(Echo::new(config))),
    },
    Program {
        name: "ext-authz",
        port: 8000,
        about: "authorizer: allows by x-ext-authz: allow; by gRPC on port 9000",
        build: |config| {
            let flags = ext_authz::Flags::parse(&config.args)?;
            Ok(App {
                port: flags.http,
                grpc: Some(flags),
                ..App::new(ExtAuthz)
            })
        },
    },
];

const NAMES: [&str; PROGRAMS.len()] = {
    let mut names = [""; PROGRAMS.len()];
    let mut index = 0;
    while index < names.len() {
        names[index] = PROGRAMS[index].name;
        index += 1;
    }
    names
};

/// All programs, in the order in which help lists them.
pub fn programs() -> &'static [Program] {
    PROGRAMS
}

/// The names of all programs.
pub fn names() -> &'static [&'static str] {
    &NAMES
}

/// Runs a program until SIGTERM or SIGINT, then drains.
///
/// # Errors
/// An unknown name, malformed arguments or settings of that program, or an address that cannot be
/// listened on.
pub async fn run(name: &str, config: Config) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("failed to watch for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("failed to watch for SIGINT")?;
    let shutdown = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    run_until(name, config, shutdown).await
}

/// Runs a program until `shutdown` is ready, then drains. Signals are the caller's.
///
/// # Errors
/// As those of [`run`].
pub async fn run_until(
    name: &str,
    config: Config,
    shutdown: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    let program = PROGRAMS.iter().find(|program| program.name == name);
    let program = program.with_context(|| {
        let known = NAMES.join(", ");
        format!("there is no sample program {name:?}; the programs are {known}")
    })?;
    let app = (program.build)(&config)?;
    let (grace, bind) = (config.grace, config.bind);
    let mut beside = JoinSet::new();
    if let Some(flags) = app.grpc {
        let address = SocketAddr::new(bind, flags.grpc);
        let listener = TcpListener::bind(address).await;
        let listener = listener.with_context(|| {
            format!("failed to listen on {address}; -grpc chooses another port")
        })?;
        tracing::info!(program = name, %address, "listening for gRPC");
        beside.spawn(ext_authz::serve(listener, flags.allow_account));
    }
    let listener = listen(config, app.port.unwrap_or(program.port)).await?;
    if let Ok(address) = listener.local_addr() {
        tracing::info!(program = name, %address, "listening");
    }
    server::serve(listener, app.handler, shutdown, grace).await;
    tracing::info!(program = name, "stopped");
    Ok(())
}

async fn listen(config: Config, port: u16) -> anyhow::Result<TcpListener> {
    if let Some(listener) = config.listener {
        listener.set_nonblocking(true)?;
        return Ok(TcpListener::from_std(listener)?);
    }
    let address = SocketAddr::new(config.bind, config.port.unwrap_or(port));
    TcpListener::bind(address).await.with_context(|| {
        format!("failed to listen on {address}; PORT chooses another port, MESH_BIND_ADDRESS another address")
    })
}

/// `hello` and `world` are one program with different words. Any argument means that the public
/// image's flags are in charge, so its defaults hold then and not ours.
fn hello(config: &Config, text: &str, target: Option<&str>) -> anyhow::Result<App> {
    let flags = if config.args.is_empty() {
        Flags::of(text, target)
    } else {
        Flags::parse(&config.args)?
    };
    let port = flags.port;
    Ok(App {
        port,
        ..App::new(Hello::new(config, flags)?)
    })
}

// === impl App ===

impl App {
    fn new(handler: impl Handler) -> App {
        App {
            handler: Arc::new(handler),
            port: None,
            grpc: None,
        }
    }
}
