//! The API server's way to Services and Pods: a proxy of a test's own, on a socket in the control plane's folder.
//!
//! The API server sends nobody to a loopback address. It does send everybody through a proxy that it is told of (an
//! `EgressSelectorConfiguration`), and that one may lead where it likes: here to the same port of the loopback interface,
//! whatever the address. So nothing listens anywhere else, and no right of an administrator is needed.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, copy_bidirectional};
use tokio::net::{TcpStream, UnixListener, UnixStream};
use tokio::task::JoinSet;

/// The address of a Pod that stands for a process of this machine; it is for documentation (RFC 5737) and leads nowhere.
pub(crate) const STAND_IN: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 7);

/// What the API server is told: where it finds the way. Until somebody opens it, it finds none.
pub(super) fn configuration(folder: &Path) -> Value {
    json!({
        "apiVersion": "apiserver.k8s.io/v1beta1",
        "kind": "EgressSelectorConfiguration",
        "egressSelections": [{
            "name": "cluster",
            "connection": {
                "proxyProtocol": "HTTPConnect",
                "transport": {"uds": {"udsName": socket(folder)}},
            },
        }],
    })
}

fn socket(folder: &Path) -> PathBuf {
    folder.join("egress.sock")
}

/// The way, for as long as it is held.
pub(crate) struct Egress {
    socket: PathBuf,
    _ways: JoinSet<()>,
}

impl Egress {
    /// Opens it for the control plane of a folder.
    pub(super) fn open(folder: &Path) -> Result<Self> {
        let socket = socket(folder);
        let listener = UnixListener::bind(&socket)?;
        let mut ways = JoinSet::new();
        ways.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                // Who is refused sees the connection end.
                connections.spawn(async move { drop(lead(stream).await) });
            }
        });
        Ok(Self { socket, _ways: ways })
    }
}

impl Drop for Egress {
    fn drop(&mut self) {
        drop(std::fs::remove_file(&self.socket));
    }
}

/// Answers one `CONNECT` (RFC 9110, 9.3.6), and is a tunnel from there on.
async fn lead(stream: UnixStream) -> Result<()> {
    let mut stream = BufReader::new(stream);
    let mut request = String::new();
    while !request.ends_with("\r\n\r\n") {
        ensure!(stream.read_line(&mut request).await? > 0, "the request has no end");
    }
    let to = request.strip_prefix("CONNECT ").and_then(|rest| rest.split(' ').next());
    let port = to.and_then(|to| to.rsplit(':').next()).context("no port is asked for")?;
    let mut there = TcpStream::connect((Ipv4Addr::LOCALHOST, port.parse()?)).await?;
    stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
    copy_bidirectional(&mut stream, &mut there).await?;
    Ok(())
}
