//! Where the injector's settings come from: files, else the ConfigMaps of the cluster, else built-in defaults.

use anyhow::Context as _;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use mesh_core::inject::InjectConfig;

use crate::context::{Cluster, Context};
use crate::failure::Advice as _;
use crate::{failure, input};

/// Which settings to use.
#[derive(Debug, clap::Args)]
pub struct ConfigArgs {
    /// Take the injector's settings from this file
    #[arg(
        long = "injectConfigFile",
        alias = "inject-config-file",
        value_name = "FILE"
    )]
    inject_config_file: Option<String>,
    /// Take the mesh's settings from this file
    #[arg(
        long = "meshConfigFile",
        alias = "mesh-config-file",
        value_name = "FILE"
    )]
    mesh_config_file: Option<String>,
    /// ConfigMap with the injector's settings, key `config`
    #[arg(
        long = "injectConfigMapName",
        alias = "inject-config-map-name",
        value_name = "NAME",
        default_value = "istio-sidecar-injector"
    )]
    inject_config_map: String,
    /// ConfigMap with the mesh's settings, key `mesh`
    #[arg(
        long = "meshConfigMapName",
        alias = "mesh-config-map-name",
        value_name = "NAME",
        default_value = "istio"
    )]
    mesh_config_map: String,
}

/// What to inject with.
pub struct Settings {
    pub inject: InjectConfig,
    /// The namespace of the cluster's context.
    pub namespace: Option<String>,
}

// === impl ConfigArgs ===

impl ConfigArgs {
    /// Whether a cluster could add anything to the files.
    pub fn wants_cluster(&self) -> bool {
        self.inject_config_file.is_none() || self.mesh_config_file.is_none()
    }

    /// Settings of the files, and built-in ones for the rest.
    pub fn read_files(&self, context: &Context) -> anyhow::Result<Settings> {
        let (inject, mesh) = (
            read(&self.inject_config_file)?,
            read(&self.mesh_config_file)?,
        );
        self.settings(
            inject.unwrap_or_default(),
            mesh.unwrap_or_default(),
            context,
            None,
        )
    }

    /// Settings of the files, the cluster's for the rest, and built-in ones when there is no cluster or no mesh in it.
    pub async fn read_with_cluster(&self, context: &Context) -> anyhow::Result<Settings> {
        if !context.names_cluster() {
            context
                .printer
                .note("cluster: none is named, so the injector's built-in settings are used");
            return self.read_files(context);
        }
        let cluster = context.cluster().await;
        let cluster = cluster.hint("--use-kube=false injects without a cluster")?;
        let map = async |file: &Option<String>, name: &str, key: &str| match read(file)? {
            Some(text) => Ok(text),
            None => self.map_text(&cluster, context, name, key).await,
        };
        let inject = map(&self.inject_config_file, &self.inject_config_map, "config").await?;
        let mesh = map(&self.mesh_config_file, &self.mesh_config_map, "mesh").await?;
        let version = cluster.client.apiserver_version().await;
        let version = version.map_err(|error| cluster.explain(error));
        let version = version.context("failed to read the cluster's version")?;
        let mut settings = self.settings(inject, mesh, context, Some(cluster.namespace.clone()))?;
        settings.inject.for_version(&version.major, &version.minor);
        Ok(settings)
    }

    /// The text of a ConfigMap's key; an empty text, which means built-in settings, where there is none.
    async fn map_text(
        &self,
        cluster: &Cluster,
        context: &Context,
        name: &str,
        key: &str,
    ) -> anyhow::Result<String> {
        let namespace = context.istio_namespace();
        let maps: Api<ConfigMap> = Api::namespaced(cluster.client.clone(), namespace);
        let found = maps
            .get_opt(name)
            .await
            .map_err(|error| cluster.explain(error));
        let found =
            found.with_context(|| format!("failed to read ConfigMap {namespace}/{name}"))?;
        let Some(map) = found else {
            let text = format!(
                "there is no ConfigMap {namespace}/{name}, so built-in settings are used for it"
            );
            context.printer.warn(&text);
            return Ok(String::new());
        };
        let text = map.data.and_then(|mut data| data.remove(key));
        text.ok_or_else(|| failure::data(format!("ConfigMap {namespace}/{name} has no key {key}")))
    }

    fn settings(
        &self,
        inject: String,
        mesh: String,
        context: &Context,
        namespace: Option<String>,
    ) -> anyhow::Result<Settings> {
        let config = InjectConfig::parse(&inject, &mesh);
        let mut config = config.map_err(|error| failure::data(error.to_string()))?;
        if inject.trim().is_empty() {
            context
                .istio_namespace()
                .clone_into(&mut config.injector.values.istio_namespace);
        }
        Ok(Settings {
            inject: config,
            namespace,
        })
    }
}

fn read(file: &Option<String>) -> anyhow::Result<Option<String>> {
    file.as_deref()
        .map(|file| input::read(file).map(|input| input.text))
        .transpose()
}
