//! The operator as a process: the binary as it was built, with a ServiceAccount's rights and no others.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::child::Guarded;
use super::helm::{CHART, Helm};
use super::{ControlPlane, eventually, ports};

/// As README.md and docs/install.md have it.
pub(crate) const INSTALL: &[&str] =
    &["install", "watchpolicy", CHART, "--namespace", NAMESPACE, "--create-namespace"];

/// The namespace and the name of the operator's ServiceAccount, after [`INSTALL`].
pub(crate) const NAMESPACE: &str = "watchpolicy-system";
/// See [`NAMESPACE`].
pub(crate) const SERVICE_ACCOUNT: &str = "watchpolicy";
/// The operator's name in the audit log.
pub(crate) const USER: &str = "system:serviceaccount:watchpolicy-system:watchpolicy";

/// Limits for a busy machine; idle, it is ready in well under a second and gone as fast.
const START: Duration = Duration::from_secs(60);
/// One answer of its own HTTP server.
const ANSWER: Duration = Duration::from_secs(10);

/// A running `watchpolicy run`. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Operator {
    process: Guarded,
    listen: SocketAddr,
    /// The certificate that it was started with, which is for `localhost`.
    certificate: Option<PathBuf>,
}

impl Operator {
    /// Installs the chart as it is, once in a control plane, and gives the kubeconfig file of its ServiceAccount:
    /// there are no nodes, so its pods stay Pending, and the operator runs as a process in their place.
    pub(crate) async fn install(plane: &ControlPlane) -> Result<PathBuf> {
        let install = async || {
            let helm = Helm::with(plane.access().admin_kubeconfig()).await?;
            helm.run(INSTALL).await?;
            let established = ["wait", "--for=condition=Established", "--timeout=60s", "crd"];
            plane.kubectl().run(&[&established[..], &["watchpolicies.watchpolicy.io"]].concat()).await?;
            plane.access().service_account_kubeconfig(NAMESPACE, SERVICE_ACCOUNT).await
        };
        plane.installed().get_or_try_init(install).await.cloned()
    }

    /// Starts it with a kubeconfig file and further arguments, and waits until its HTTP server answers.
    pub(crate) async fn start(plane: &ControlPlane, kubeconfig: &Path, args: &[&str]) -> Result<Self> {
        let port = ports::free()?;
        let mut command = Command::new(binary()?);
        command.arg("run").arg("--kubeconfig").arg(kubeconfig);
        let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        command.args(["--listen", &listen.to_string(), "--namespace", NAMESPACE]).args(args);
        // What the caller's shell says about an operator is not about this one.
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("WATCHPOLICY_")) {
            command.env_remove(name);
        }
        let process = Guarded::start(&format!("watchpolicy-{port}"), plane.folder(), &command)?;
        let certificate = args.iter().skip_while(|arg| **arg != "--tls-cert-file").nth(1).map(PathBuf::from);
        let mut operator = Self { process, listen, certificate };
        operator.wait_until_alive().await?;
        Ok(operator)
    }

    async fn wait_until_alive(&mut self) -> Result<()> {
        let answers = async || {
            if let Some(status) = self.process.ended()? {
                return Ok(Some(status));
            }
            self.get("/livez").await.map(|_| None)
        };
        let ended = eventually(START, "the operator's HTTP server answers", answers).await?;
        ensure!(ended.is_none(), "the operator ended: {}", self.process.last_words());
        Ok(())
    }

    /// Waits until `/readyz` says 200.
    pub(crate) async fn wait_until_ready(&self) -> Result<()> {
        let ready = async || match self.get("/readyz").await {
            Ok((200, _)) => Ok(()),
            Ok((code, body)) => Err(format!("{code} {body}")),
            Err(error) => Err(error.to_string()),
        };
        eventually(START, "the operator is ready", ready).await.with_context(|| self.process.last_words())
    }

    /// Status code and body of a GET on its HTTP server.
    pub(crate) async fn get(&self, path: &str) -> Result<(u16, String)> {
        self.get_with(path, "").await
    }

    /// The same with a header more, as `name: value`.
    pub(crate) async fn get_with(&self, path: &str, header: &str) -> Result<(u16, String)> {
        let asking = async {
            let stream = TcpStream::connect(self.listen).await?;
            match &self.certificate {
                Some(certificate) => get(secured(stream, certificate).await?, path, header).await,
                None => get(stream, path, header).await,
            }
        };
        tokio::time::timeout(ANSWER, asking).await?
    }

    /// All its series, in the text format of Prometheus.
    pub(crate) async fn metrics(&self) -> Result<String> {
        let (code, body) = self.get("/metrics").await?;
        ensure!(code == 200, "/metrics says {code}: {body}");
        Ok(body)
    }

    /// The port of its HTTP server.
    pub(crate) fn port(&self) -> u16 {
        self.listen.port()
    }

    /// Its resident memory, in bytes.
    pub(crate) async fn memory(&self) -> Result<u64> {
        self.bytes("VmRSS:").await
    }

    /// The most that its resident memory has been.
    pub(crate) async fn peak_memory(&self) -> Result<u64> {
        self.bytes("VmHWM:").await
    }

    async fn bytes(&self, what: &str) -> Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.pid().await?))?;
        let line = status.lines().find_map(|line| line.strip_prefix(what)).context("no such line")?;
        Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? * 1024)
    }

    /// How many sockets it has, those that it listens on among them.
    pub(crate) async fn sockets(&self) -> Result<usize> {
        let open = std::fs::read_dir(format!("/proc/{}/fd", self.process.pid().await?))?;
        let targets = open.flatten().flat_map(|entry| std::fs::read_link(entry.path()));
        Ok(targets.filter(|target| target.to_string_lossy().starts_with("socket:")).count())
    }

    /// Everything that it has logged.
    pub(crate) fn log(&self) -> Result<String> {
        Ok(std::fs::read_to_string(self.process.log())?)
    }

    /// The end of its log, for an error message.
    pub(crate) fn last_words(&self) -> String {
        self.process.last_words()
    }

    /// Sends a signal by its name without `SIG`.
    pub(crate) fn signal(&mut self, name: &str) -> Result<()> {
        Ok(self.process.signal(name)?)
    }

    /// Asks it to stop, by SIGTERM, and gives its exit code.
    pub(crate) async fn stop(mut self, deadline: Duration) -> Result<i32> {
        self.process.signal("TERM")?;
        self.process.wait(deadline).await
    }
}

impl Drop for Operator {
    #[allow(clippy::print_stderr, reason = "the log goes with its folder, and says why the test fails")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.process.last_words());
        }
    }
}

/// Tests are told where it is; examples are built into a folder beside it.
fn binary() -> Result<PathBuf> {
    if let Some(binary) = option_env!("CARGO_BIN_EXE_watchpolicy") {
        return Ok(binary.into());
    }
    let here = std::env::current_exe()?;
    let binary = here.parent().and_then(Path::parent).context("no folder")?.join("watchpolicy");
    ensure!(binary.exists(), "{} is not built: run `cargo build`", binary.display());
    Ok(binary)
}

/// A connection to whoever has this certificate, and to nobody else.
async fn secured(stream: TcpStream, certificate: &Path) -> Result<impl AsyncRead + AsyncWrite + Unpin> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(certificate)?)?;
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = TlsConnector::from(Arc::new(config));
    Ok(connector.connect(ServerName::try_from("localhost")?, stream).await?)
}

/// HTTP/1.0, so that the answer ends with the connection and is never in chunks.
async fn get(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    path: &str,
    header: &str,
) -> Result<(u16, String)> {
    let header = if header.is_empty() { String::new() } else { format!("{header}\r\n") };
    stream.write_all(format!("GET {path} HTTP/1.0\r\n{header}\r\n").as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let (head, body) = answer.split_once("\r\n\r\n").context("the answer has no end of its head")?;
    let code = head.split(' ').nth(1).context("the answer has no status code")?.parse()?;
    Ok((code, body.to_owned()))
}
