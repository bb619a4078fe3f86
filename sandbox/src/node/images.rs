//! Images: which program a container's image stands for.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Container;

/// The annotation that gives a container (or, without a suffix, all containers of the pod) a command.
pub const COMMAND_ANNOTATION: &str = "sandbox.meshctl.io/command";

/// What to run for a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Program {
    /// One of our own programs with its arguments, run as `EXE builtin ARGS...`.
    Builtin(Vec<String>),
    /// A command of this machine.
    Foreign(Vec<String>),
    /// Nothing: the container succeeds at once, for the reason given (written to its log).
    Nothing(&'static str),
}

/// Why an image cannot be run; the message says what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "image {image:?} is not known to the sandbox: run it with `--image {name}=COMMAND`, or annotate the pod with \
     {COMMAND_ANNOTATION}.{container}=COMMAND (an empty COMMAND runs the container's own command)"
)]
pub struct NotRunnable {
    image: String,
    name: String,
    container: String,
}

/// Looks a sample image up: the program's name and leading arguments, as given to `builtin`.
pub type SampleLookup = fn(&str) -> Option<Vec<String>>;

/// The table of images: what the user mapped, then what is built in.
#[derive(Clone)]
pub struct Images {
    mapped: BTreeMap<String, String>,
    samples: SampleLookup,
}

impl Images {
    /// A table with the user's mappings (`NAME` or `NAME:TAG` to a command) over the built-in programs.
    pub fn new(mapped: BTreeMap<String, String>, samples: SampleLookup) -> Self {
        Self { mapped, samples }
    }

    /// What to run for a container whose arguments are already expanded.
    pub fn program(
        &self,
        container: &Container,
        annotations: &BTreeMap<String, String>,
        command: Vec<String>,
        args: Vec<String>,
    ) -> Result<Program, NotRunnable> {
        let image = container.image.as_deref().unwrap_or_default();
        let own = format!("{COMMAND_ANNOTATION}.{}", container.name);
        let annotated = annotations
            .get(&own)
            .or_else(|| annotations.get(COMMAND_ANNOTATION));
        let sidecar = container.name == "istio-proxy";
        let mapped = annotated.filter(|_| !sidecar || annotations.contains_key(&own));
        if let Some(shell) = mapped.or_else(|| self.mapped(image)) {
            return Ok(Program::Foreign(foreign(shell, command, args)));
        }
        if let Some(program) = mesh_program(image, &container.name, &args) {
            return Ok(program);
        }
        if let Some(mut program) = (self.samples)(image) {
            program.extend(args);
            return Ok(Program::Builtin(program));
        }
        Err(NotRunnable {
            image: image.to_owned(),
            name: names(image)
                .last()
                .map_or_else(String::new, |name| (*name).to_owned()),
            container: container.name.clone(),
        })
    }

    fn mapped(&self, image: &str) -> Option<&String> {
        names(image)
            .into_iter()
            .find_map(|name| self.mapped.get(name))
    }
}

/// The names an image answers to, the most exact first: whole, without digest and tag, last part with tag and without.
fn names(image: &str) -> Vec<&str> {
    let (undigested, _) = image.split_once('@').unwrap_or((image, ""));
    let last_start = undigested.rfind('/').map_or(0, |slash| slash + 1);
    let tag = undigested[last_start..]
        .find(':')
        .map_or(undigested.len(), |colon| last_start + colon);
    vec![
        image,
        undigested,
        &undigested[..tag],
        &undigested[last_start..],
        &undigested[last_start..tag],
    ]
}

/// The mesh's own images, under our names and Istio's.
fn mesh_program(image: &str, container: &str, args: &[String]) -> Option<Program> {
    let repository = names(image)[2];
    let mut parts = repository.rsplit('/');
    let (name, owner) = (parts.next()?, parts.next().unwrap_or_default());
    // Istio's images are mirrored under many registries; ours and theirs are told by the last part.
    let ours = matches!(
        owner,
        "meshctl" | "istio" | "istio-release" | "release" | "testing"
    );
    let with = |program: &str| {
        let mut words = vec![program.to_owned()];
        words.extend(args.iter().cloned());
        Some(Program::Builtin(words))
    };
    match name {
        "pilot" if ours => with("pilot-discovery"),
        "proxyv2"
            if container == "istio-init"
                || args.first().is_some_and(|arg| arg == "istio-iptables") =>
        {
            Some(Program::Nothing(
                "traffic is not redirected in the loopback back end: apps reach the sidecar through http_proxy, and \
                 its inbound listeners hold the pod's address; nothing to set up",
            ))
        }
        "proxyv2" if ours => with("pilot-agent"),
        _ => None,
    }
}

/// A command of this machine: a mapped command line goes through the shell and gets the container's arguments; an
/// empty one stands for the container's own command.
fn foreign(shell: &str, command: Vec<String>, args: Vec<String>) -> Vec<String> {
    if shell.trim().is_empty() {
        return command.into_iter().chain(args).collect();
    }
    let script = if args.is_empty() {
        shell.to_owned()
    } else {
        format!("{shell} \"$@\"")
    };
    let mut words = vec![
        "/bin/sh".to_owned(),
        "-c".to_owned(),
        script,
        "sh".to_owned(),
    ];
    words.extend(args);
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(
        image: &str,
        container: &str,
        mapped: &[(&str, &str)],
    ) -> Result<Program, NotRunnable> {
        let mapped = mapped
            .iter()
            .map(|(name, command)| ((*name).into(), (*command).into()))
            .collect();
        let samples = |image: &str| {
            image
                .contains("bookinfo")
                .then(|| vec!["sample".into(), "x".into()])
        };
        let container = Container {
            name: container.into(),
            image: Some(image.into()),
            ..Container::default()
        };
        Images::new(mapped, samples).program(&container, &BTreeMap::new(), vec![], vec!["a".into()])
    }

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn mesh_images_are_programs() {
        let pilot = Ok(Program::Builtin(words(&["pilot-discovery", "a"])));
        assert_eq!(program("meshctl/pilot:0.1.0", "discovery", &[]), pilot);
        assert_eq!(
            program("docker.io/istio/pilot:1.28.0", "discovery", &[]),
            pilot
        );
        let agent = Ok(Program::Builtin(words(&["pilot-agent", "a"])));
        assert_eq!(
            program("meshctl/proxyv2:1@sha256:00", "istio-proxy", &[]),
            agent
        );
        assert!(matches!(
            program("istio/proxyv2:1", "istio-init", &[]),
            Ok(Program::Nothing(_))
        ));
        assert_eq!(
            program("x/bookinfo:1", "c", &[]),
            Ok(Program::Builtin(words(&["sample", "x", "a"])))
        );
    }

    #[test]
    fn mapped_images_run_through_the_shell() {
        let ran = Ok(Program::Foreign(words(&[
            "/bin/sh",
            "-c",
            "serve \"$@\"",
            "sh",
            "a",
        ])));
        for name in ["busybox", "busybox:1.36", "docker.io/library/busybox"] {
            assert_eq!(
                program("docker.io/library/busybox:1.36", "c", &[(name, "serve")]),
                ran
            );
        }
        assert_eq!(
            program("busybox", "c", &[("busybox", "")]),
            Ok(Program::Foreign(words(&["a"])))
        );
    }

    #[test]
    fn an_unknown_image_says_how_to_run_it() {
        let message = program("registry:5000/me/app:1", "web", &[])
            .unwrap_err()
            .to_string();
        assert!(message.contains("--image app=COMMAND"), "{message}");
        assert!(
            message.contains("sandbox.meshctl.io/command.web"),
            "{message}"
        );
    }
}
