//! `meshctl sandbox env`: what a shell needs to work with the sandbox.

use super::Name;
use crate::context::{Context, Format, SANDBOX_VARIABLE};
use crate::exit::Exit;

/// Print shell commands that point kubectl and other tools at a sandbox
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  eval \"$(meshctl sandbox env)\"
  kubectl get pods
  curl \"http://$GATEWAY_URL/productpage\"")]
pub struct Args {
    #[command(flatten)]
    name: Name,
}

/// Runs the command.
pub fn run(args: &Args, context: &Context) -> anyhow::Result<Exit> {
    let format = context.format(&[Format::Table, Format::Json, Format::Yaml])?;
    let record = mesh_sandbox::find(&mesh_sandbox::root()?, &args.name.name)?;
    let variables = variables(&record);
    match format {
        Format::Table => {
            let lines = variables.iter();
            let text: String = lines
                .map(|(name, value)| format!("export {name}={}\n", quoted(value)))
                .collect();
            context.printer.data(&text)?;
        }
        format => {
            let map: std::collections::BTreeMap<_, _> = variables.into_iter().collect();
            context.printer.structured(format, &map)?;
        }
    }
    Ok(Exit::Success)
}

/// The names that Istio's tutorials use for the way in, besides the kubeconfig.
fn variables(record: &mesh_sandbox::Record) -> Vec<(&'static str, String)> {
    let gateway = record.ingress.url.trim_start_matches("http://");
    let (host, port) = gateway.rsplit_once(':').unwrap_or((gateway, "80"));
    vec![
        ("KUBECONFIG", record.kubeconfig.display().to_string()),
        (SANDBOX_VARIABLE, record.name.clone()),
        ("INGRESS_HOST", host.to_owned()),
        ("INGRESS_PORT", port.to_owned()),
        ("GATEWAY_URL", gateway.to_owned()),
    ]
}

/// In single quotes, so that a shell changes nothing.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn a_shell_reads_back_what_was_meant() {
        assert_eq!(quoted("/home/o'neil/x y"), r"'/home/o'\''neil/x y'");
    }
}
