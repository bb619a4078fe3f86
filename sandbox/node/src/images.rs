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

/// A program that is built in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Builtin {
    /// What runs it, without arguments; run as `EXE builtin WORDS... ARGS...`.
    pub words: Vec<String>,
    pub args: Vec<String>,
    /// The name by which it can be run in its containers, beside what they run themselves, as if it lay on their path.
    pub executable: Option<String>,
    /// Of the platform, such as a sidecar: a command that the pod's annotation gives to all of its containers is not for it.
    pub is_platform: bool,
}

/// Looks up what is built in for an image: by image, command and arguments.
pub type BuiltinLookup = fn(&str, &[String], &[String]) -> Option<Builtin>;

/// The table of images: what the user mapped, then what is built in.
#[derive(Clone)]
pub struct Images {
    mapped: BTreeMap<String, String>,
    builtin: BuiltinLookup,
}

impl Images {
    /// A table with the user's mappings (`NAME` or `NAME:TAG` to a command) over the built-in programs.
    pub fn new(mapped: BTreeMap<String, String>, builtin: BuiltinLookup) -> Self {
        Self { mapped, builtin }
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
        let builtin = (self.builtin)(image, &command, &args);
        let is_platform = builtin.as_ref().is_some_and(|builtin| builtin.is_platform);
        let of_pod = annotations.get(COMMAND_ANNOTATION).filter(|_| !is_platform);
        let own = annotations.get(&format!("{COMMAND_ANNOTATION}.{}", container.name));
        if let Some(shell) = own.or(of_pod).or_else(|| self.mapped(image)) {
            return Ok(Program::Foreign(foreign(shell, command, args)));
        }
        let program = builtin.map(|builtin| [builtin.words, builtin.args].concat());
        program.map(Program::Builtin).ok_or_else(|| NotRunnable {
            image: image.to_owned(),
            name: names(image)
                .last()
                .map_or_else(String::new, |name| (*name).to_owned()),
            container: container.name.clone(),
        })
    }

    /// What a command means that somebody runs in a container of an image, if it is built in.
    pub fn command(&self, image: &str, command: &[String]) -> Option<Vec<String>> {
        if is_builtin_word(command) {
            return Some(command.to_vec());
        }
        let builtin = (self.builtin)(image, &[], &[])?;
        let (name, args) = command.split_first()?;
        let is_named = builtin.executable.as_deref() == Some(file_name(name));
        is_named.then(|| [&builtin.words, args].concat())
    }

    fn mapped(&self, image: &str) -> Option<&String> {
        names(image)
            .into_iter()
            .find_map(|name| self.mapped.get(name))
    }
}

/// The names an image answers to, the most exact first: whole, without digest and tag, last part with tag and without.
fn names(image: &str) -> [&str; 5] {
    let (undigested, _) = image.split_once('@').unwrap_or((image, ""));
    let last_start = undigested.rfind('/').map_or(0, |slash| slash + 1);
    let tag = undigested[last_start..]
        .find(':')
        .map_or(undigested.len(), |colon| last_start + colon);
    [
        image,
        undigested,
        &undigested[..tag],
        &undigested[last_start..],
        &undigested[last_start..tag],
    ]
}

/// An image's name without digest and tag.
pub fn repository(image: &str) -> &str {
    names(image)[2]
}

/// The last part of a path.
pub fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// True for a command that names one of the mesh's own programs, as probes and hooks of its containers do.
fn is_builtin_word(words: &[String]) -> bool {
    matches!(
        words.first().map(String::as_str),
        Some("pilot-agent" | "pilot-discovery")
    )
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
        annotations: &[(&str, &str)],
    ) -> Result<Program, NotRunnable> {
        let mapped = mapped
            .iter()
            .map(|(name, command)| ((*name).into(), (*command).into()))
            .collect();
        let builtin = |image: &str, _: &[String], args: &[String]| {
            let is_platform = image.contains("proxy");
            let known = is_platform || image.contains("bookinfo");
            known.then(|| Builtin {
                words: vec!["x".to_owned()],
                args: args.to_vec(),
                executable: Some("details".to_owned()),
                is_platform,
            })
        };
        let container = Container {
            name: container.into(),
            image: Some(image.into()),
            ..Container::default()
        };
        let annotations = annotations
            .iter()
            .map(|(name, command)| ((*name).into(), (*command).into()))
            .collect();
        Images::new(mapped, builtin).program(&container, &annotations, vec![], vec!["a".into()])
    }

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn the_annotation_of_a_pod_is_for_its_own_containers() {
        let builtin = Ok(Program::Builtin(words(&["x", "a"])));
        let serve = Ok(Program::Foreign(words(&[
            "/bin/sh",
            "-c",
            "serve \"$@\"",
            "sh",
            "a",
        ])));
        let all = [(COMMAND_ANNOTATION, "serve")];
        let init = [("sandbox.meshctl.io/command.init", "serve")];
        for (image, container, annotations, expected) in [
            ("me/bookinfo:1", "app", &[][..], &builtin),
            ("me/bookinfo:1", "app", &all, &serve),
            ("me/other:1", "app", &all, &serve),
            ("me/proxy:1", "init", &all, &builtin),
            ("me/proxy:1", "init", &init, &serve),
        ] {
            let found = program(image, container, &[], annotations);
            assert_eq!(&found, expected, "{image} {annotations:?}");
        }
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
                program(
                    "docker.io/library/busybox:1.36",
                    "c",
                    &[(name, "serve")],
                    &[]
                ),
                ran
            );
        }
        assert_eq!(
            program("busybox", "c", &[("busybox", "")], &[]),
            Ok(Program::Foreign(words(&["a"])))
        );
    }

    #[test]
    fn what_is_built_in_can_be_run_by_its_name() {
        let builtin = |image: &str, _: &[String], _: &[String]| {
            (image == "bookinfo").then(|| Builtin {
                words: words(&["sample", "details"]),
                args: vec![],
                executable: Some("details".to_owned()),
                is_platform: false,
            })
        };
        let images = Images::new(BTreeMap::new(), builtin);
        let command = |image: &str, command: &[&str]| images.command(image, &words(command));
        let details = Some(words(&["sample", "details", "-v"]));
        assert_eq!(command("bookinfo", &["/usr/bin/details", "-v"]), details);
        assert_eq!(command("bookinfo", &["details", "-v"]), details);
        assert_eq!(command("bookinfo", &["curl", "details"]), None);
        assert_eq!(command("other", &["details"]), None);
        assert_eq!(command("bookinfo", &[]), None);
        let agent = ["pilot-agent", "wait"];
        assert_eq!(command("other", &agent), Some(words(&agent)));
    }

    #[test]
    fn an_unknown_image_says_how_to_run_it() {
        let message = program("registry:5000/me/app:1", "web", &[], &[])
            .unwrap_err()
            .to_string();
        assert!(message.contains("--image app=COMMAND"), "{message}");
        assert!(
            message.contains("sandbox.meshctl.io/command.web"),
            "{message}"
        );
    }
}
