//! `meshctl sandbox demo`: the whole story in one command, told by the very commands that a user would type.
//!
//! ```text
//! sandbox up --detach --sample bookinfo -> reviews to v1 -> shift reviews v3=50 -> 100 requests -> how many red stars
//! ```

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, bail};
use mesh_sandbox::Record;

use super::Name;
use super::apply;
use super::place::Place;
use crate::context::{Context, SANDBOX_VARIABLE};
use crate::exit::Exit;
use crate::failure::Advice as _;
use crate::input::Input;
use crate::runtime;

/// Pages that are asked for.
const REQUESTS: u32 = 100;

/// Pages in a row that show what was asked for, before that counts as arrived.
const IN_A_ROW: u32 = 10;

/// How long a change may take to arrive.
const SETTLED: Duration = Duration::from_secs(30);

/// How long a page may take.
const PATIENCE: Duration = Duration::from_secs(15);

/// Reviews to their first version, without stars.
const ALL_TO_V1: &str = "\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: reviews
spec:
  hosts:
    - reviews
  http:
    - route:
        - destination:
            host: reviews
            subset: v1
";

/// Show a mesh at work: bookinfo, all reviews to v1, half of them shifted to v3, and 100 requests counted
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    name: Name,
    #[command(flatten)]
    place: Place,
}

/// Runs the command.
pub fn run(args: &Args, context: &Context) -> anyhow::Result<Exit> {
    let name = &args.name.name;
    let record = started(name, &args.place, context)?;
    let page = format!("{}/productpage", record.ingress.url);
    let visitor = Visitor::new(page.clone())?;
    let printer = &context.printer;
    printer.note("\nAll reviews to v1, which shows no stars:\n");
    runtime::block_on(async {
        let client = mesh_sandbox::client(&std::fs::read_to_string(&record.kubeconfig)?).await?;
        let input = Input {
            name: "reviews to v1".to_owned(),
            text: ALL_TO_V1.to_owned(),
        };
        apply::apply(&client, &apply::read(&[input])?, "default").await?;
        visitor.settle().await
    })?;
    printer.done("no page shows stars");
    printer
        .note("\nHalf of the reviews to v3, which shows red stars: meshctl shift reviews v3=50\n");
    let words = [
        "shift",
        "reviews",
        "v3=50",
        "--yes",
        "--probe",
        &page,
        "--requests",
        "100",
    ];
    let shifted = meshctl(name, &words)?;
    printer.note("");
    let red = runtime::block_on(visitor.count())?;
    printer.data(&format!(
        "{red} of {REQUESTS} requests to the product page showed red stars\n"
    ))?;
    printer.note(&format!(
        "\nThe sandbox goes on: {page}\n  meshctl sandbox status\n  meshctl proxy-status\n  meshctl shift reviews v3=100\n  \
         meshctl sandbox down\n"
    ));
    Ok(if shifted {
        Exit::Success
    } else {
        Exit::Failure
    })
}

/// The sandbox that runs already, or a new one.
fn started(name: &str, place: &Place, context: &Context) -> anyhow::Result<Record> {
    let root = mesh_sandbox::root()?;
    if let Ok(record) = mesh_sandbox::find(&root, name)
        && record.ready
    {
        context
            .printer
            .note(&format!("sandbox {name:?} runs already and is used"));
        return Ok(record);
    }
    let words = [
        "sandbox", "up", "--detach", "--sample", "bookinfo", "--name", name,
    ];
    let words: Vec<&str> = words.into_iter().chain(place.words()).collect();
    if !meshctl(name, &words)? {
        bail!("the sandbox could not be started");
    }
    mesh_sandbox::find(&root, name)
}

/// Runs this program with other words; true when it succeeded.
fn meshctl(name: &str, words: &[&str]) -> anyhow::Result<bool> {
    let mut command = Command::new(mesh_sandbox::own_executable()?);
    command.args(words).env(SANDBOX_VARIABLE, name);
    // Its data is talk here: what this command prints as data is the count.
    command.stdout(std::io::stderr());
    let status = command.status().context("failed to run meshctl")?;
    Ok(status.success())
}

/// Someone who looks at the product page.
struct Visitor {
    client: reqwest::Client,
    page: String,
}

impl Visitor {
    fn new(page: String) -> anyhow::Result<Self> {
        // A second installation fails, which is as good.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let client = reqwest::Client::builder()
            .timeout(PATIENCE)
            .no_proxy()
            .build();
        Ok(Self {
            client: client.context("failed to set up a client")?,
            page,
        })
    }

    async fn look(&self) -> anyhow::Result<String> {
        let answer = self
            .client
            .get(&self.page)
            .send()
            .await
            .context("failed to open the product page")?;
        let status = answer.status();
        if !status.is_success() {
            return Err(anyhow!("the product page answers {status}"))
                .hint("is bookinfo there? `meshctl sandbox down`, and run the demo again");
        }
        answer
            .text()
            .await
            .context("failed to read the product page")
    }

    /// Waits until pages show no stars.
    async fn settle(&self) -> anyhow::Result<()> {
        let begun = Instant::now();
        let mut in_a_row = 0;
        let mut last = anyhow!("pages still show stars");
        while in_a_row < IN_A_ROW {
            match self.look().await {
                Ok(page)
                    if !page.contains("color=\"red\"") && !page.contains("color=\"black\"") =>
                {
                    in_a_row += 1
                }
                Ok(_) => in_a_row = 0,
                Err(error) => (in_a_row, last) = (0, error),
            }
            if begun.elapsed() > SETTLED {
                return Err(last.context(format!(
                    "the change has not arrived after {} s",
                    SETTLED.as_secs()
                )));
            }
        }
        Ok(())
    }

    /// How many pages show red stars.
    async fn count(&self) -> anyhow::Result<u32> {
        let mut red = 0;
        for _ in 0..REQUESTS {
            red += u32::from(self.look().await?.contains("color=\"red\""));
        }
        Ok(red)
    }
}
