//! etcd, kube-apiserver and kube-controller-manager.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use tokio::sync::OnceCell;
use tokio::time::Instant;

use super::access::Access;
use super::audit::AuditLog;
use super::child::{Folder, Guarded};
use super::egress::{self, Egress};
use super::kubectl::Kubectl;
use super::{ports, tools};

/// Ready takes about 2 s on an idle machine.
const READY: Duration = Duration::from_secs(120);
/// How often readiness is asked for.
const POLL: Duration = Duration::from_millis(50);
/// Killed is killed: only a machine that stands still takes longer.
const KILLED: Duration = Duration::from_secs(30);

/// A running control plane without nodes. Dropping it kills it and removes its folder.
#[derive(Debug)]
pub(crate) struct ControlPlane {
    // Dropped from the top down, so that nobody loses the server that it talks to, and the folder goes last.
    controllers: Guarded,
    apiserver: Guarded,
    etcd: Guarded,
    recipe: Recipe,
    installed: OnceCell<PathBuf>,
    folder: Folder,
}

/// What is needed to start each of them, the API server more than once.
#[derive(Debug)]
struct Recipe {
    tools: PathBuf,
    folder: PathBuf,
    etcd_ports: [u16; 2],
    apiserver_port: u16,
    access: Access,
    audit: AuditLog,
}

impl ControlPlane {
    /// The control plane that the tests of one run share. It is killed when the process ends.
    pub(crate) async fn shared() -> Result<&'static Self> {
        static SHARED: OnceCell<Result<ControlPlane, String>> = OnceCell::const_new();
        // A failure is kept too: the other tests should not wait for the same once more.
        let start = async || Self::start().await.map_err(|error| format!("{error:#}"));
        SHARED.get_or_init(start).await.as_ref().map_err(|error| anyhow!("{error}"))
    }

    /// Starts one; it is ready when this returns. When it fails, the logs are kept, and the error says where.
    pub(crate) async fn start() -> Result<Self> {
        let tools = tools::controlplane().await?;
        let mut folder = Folder::new("watchpolicy-controlplane")?;
        let started = match Recipe::new(tools, folder.path()) {
            Ok(recipe) => recipe.start().await.map(|processes| (recipe, processes)),
            Err(error) => Err(error),
        };
        match started {
            Ok((recipe, [etcd, apiserver, controllers])) => {
                Ok(Self { controllers, apiserver, etcd, recipe, installed: OnceCell::new(), folder })
            }
            Err(error) => {
                folder.keep();
                let kept = folder.path().display().to_string();
                Err(error.context(format!("the control plane did not start, its logs are in {kept}")))
            }
        }
    }

    /// Clients and kubeconfig files.
    pub(crate) fn access(&self) -> &Access {
        &self.recipe.access
    }

    /// The requests of those users whose name `whose` accepts, oldest first.
    pub(crate) fn requests(&self, whose: impl Fn(&str) -> bool) -> Result<Vec<super::Request>> {
        self.recipe.audit.requests(whose)
    }

    /// kubectl as a user who may do everything.
    pub(crate) fn kubectl(&self) -> Kubectl {
        self.kubectl_as(self.access().admin_kubeconfig())
    }

    /// kubectl as the user of a kubeconfig file.
    pub(crate) fn kubectl_as(&self, kubeconfig: &Path) -> Kubectl {
        Kubectl::new(&self.recipe.tools, kubeconfig)
    }

    /// The kubeconfig file of the operator's ServiceAccount, once the operator is installed.
    pub(crate) fn installed(&self) -> &OnceCell<PathBuf> {
        &self.installed
    }

    /// Lets the API server reach what listens on the loopback interface, as a Service or Pod, until this is dropped.
    /// For one caller at a time.
    pub(crate) fn open_egress(&self) -> Result<Egress> {
        Egress::open(self.folder())
    }

    /// The folder of data, logs and kubeconfig files.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The pids of etcd, the API server and the controller manager.
    pub(crate) async fn pids(&self) -> Result<[u32; 3]> {
        Ok([self.etcd.pid().await?, self.apiserver.pid().await?, self.controllers.pid().await?])
    }

    /// Kills the API server, as a crash would. Its data, which etcd has, stay.
    pub(crate) async fn kill_apiserver(&mut self) -> Result<()> {
        self.apiserver.signal("KILL")?;
        self.apiserver.wait(KILLED).await?;
        self.recipe.audit.close()
    }

    /// Starts the API server again where it was; it is ready when this returns.
    pub(crate) async fn restart_apiserver(&mut self) -> Result<()> {
        if self.apiserver.ended()?.is_none() {
            self.kill_apiserver().await?;
        }
        self.apiserver = self.recipe.start_apiserver()?;
        self.recipe.wait_until_ready(&mut self.apiserver).await
    }

    /// Lets the API server stand still, connections open and unanswered, until [`Self::resume_apiserver`].
    pub(crate) fn pause_apiserver(&mut self) -> Result<()> {
        Ok(self.apiserver.signal("STOP")?)
    }

    /// Lets a paused API server go on.
    pub(crate) fn resume_apiserver(&mut self) -> Result<()> {
        Ok(self.apiserver.signal("CONT")?)
    }
}

impl Recipe {
    fn new(tools: PathBuf, folder: &Path) -> Result<Self> {
        let apiserver_port = ports::free()?;
        Ok(Self {
            tools,
            folder: folder.to_owned(),
            etcd_ports: [ports::free()?, ports::free()?],
            apiserver_port,
            access: Access::new(folder, apiserver_port)?,
            audit: AuditLog::new(folder)?,
        })
    }

    async fn start(&self) -> Result<[Guarded; 3]> {
        let etcd = self.start_etcd()?;
        let mut apiserver = self.start_apiserver()?;
        self.wait_until_ready(&mut apiserver).await.with_context(|| etcd.last_words())?;
        let controllers = self.start_controllers()?;
        Ok([etcd, apiserver, controllers])
    }

    fn run(&self, name: &str, args: &[String]) -> Result<Guarded> {
        Guarded::start(name, &self.folder, Command::new(self.tools.join(name)).args(args))
    }

    fn file(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }

    fn start_etcd(&self) -> Result<Guarded> {
        let [client, peer] = self.etcd_ports.map(|port| format!("http://127.0.0.1:{port}"));
        let args = [
            format!("--data-dir={}", self.file("etcd")),
            format!("--listen-client-urls={client}"),
            format!("--advertise-client-urls={client}"),
            format!("--listen-peer-urls={peer}"),
            format!("--initial-advertise-peer-urls={peer}"),
            format!("--initial-cluster=default={peer}"),
            "--log-level=warn".to_owned(),
            // The data need not survive the machine.
            "--unsafe-no-fsync".to_owned(),
        ];
        self.run("etcd", &args)
    }

    fn start_apiserver(&self) -> Result<Guarded> {
        let egress = self.folder.join("egress.json");
        std::fs::write(&egress, egress::configuration(&self.folder).to_string())?;
        let args = [
            format!("--etcd-servers=http://127.0.0.1:{}", self.etcd_ports[0]),
            format!("--secure-port={}", self.apiserver_port),
            "--bind-address=127.0.0.1".to_owned(),
            // It refuses to advertise a loopback address; this one (RFC 5737) leads nowhere, and is not written.
            "--advertise-address=192.0.2.1".to_owned(),
            "--endpoint-reconciler-type=none".to_owned(),
            "--service-cluster-ip-range=10.96.0.0/16".to_owned(),
            format!("--cert-dir={}", self.access.certificates().display()),
            "--authorization-mode=RBAC".to_owned(),
            format!("--token-auth-file={}", self.access.tokens_file().display()),
            "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
            format!("--service-account-key-file={}", self.access.verifying_key_file().display()),
            format!("--service-account-signing-key-file={}", self.access.signing_key_file().display()),
            // Pods can be made at once, without waiting for the default ServiceAccount of a new namespace.
            "--disable-admission-plugins=ServiceAccount".to_owned(),
            // As in most clusters: it is policies that say no.
            "--allow-privileged=true".to_owned(),
            format!("--egress-selector-config-file={}", egress.display()),
            format!("--audit-policy-file={}", self.audit.policy_file().display()),
            format!("--audit-log-path={}", self.audit.file().display()),
            "--audit-log-maxsize=4096".to_owned(),
        ];
        self.run("kube-apiserver", &args)
    }

    fn start_controllers(&self) -> Result<Guarded> {
        let kubeconfig = self.access.controllers_kubeconfig();
        let args = [
            format!("--kubeconfig={}", kubeconfig.display()),
            "--leader-elect=false".to_owned(),
            "--secure-port=0".to_owned(),
            // Its default of 20 requests a second would be what the tests measure.
            "--kube-api-qps=500".to_owned(),
            "--kube-api-burst=1000".to_owned(),
        ];
        self.run("kube-controller-manager", &args)
    }

    async fn wait_until_ready(&self, apiserver: &mut Guarded) -> Result<()> {
        let start = Instant::now();
        let mut last = anyhow!("it has not written its certificate");
        while start.elapsed() < READY {
            if apiserver.ended()?.is_some() {
                bail!("kube-apiserver ended: {}", apiserver.last_words());
            }
            if self.access.authority_file().exists() {
                match self.ask_readyz().await {
                    Ok(()) => return Ok(()),
                    Err(error) => last = error,
                }
            }
            tokio::time::sleep(POLL).await;
        }
        Err(last.context(format!("not ready within {READY:?}: {}", apiserver.last_words())))
    }

    async fn ask_readyz(&self) -> Result<()> {
        let request = http::Request::get("/readyz").body(Vec::new())?;
        let asking = async { anyhow::Ok(self.access.admin().await?.request_text(request).await?) };
        tokio::time::timeout(Duration::from_secs(5), asking).await??;
        Ok(())
    }
}
