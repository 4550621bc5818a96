//! What was asked of the API server, by whom, as its audit log tells it.

use std::path::{Path, PathBuf};

use anyhow::Result;
use serde::Deserialize;
use serde_json::json;

/// One request that the API server has answered, or begun to answer in the case of a watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    /// `system:serviceaccount:<namespace>:<name>`, or `admin`.
    pub user: String,
    /// The user agent, which tells replicas apart that have one user.
    pub agent: String,
    /// When the API server received it.
    pub at: jiff::Timestamp,
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`.
    pub verb: String,
    /// The API group; empty for the core group and where no resource was asked for.
    pub group: String,
    /// The plural name; empty where no resource was asked for.
    pub resource: String,
    /// `status`, `token`, `scale`, or empty.
    pub subresource: String,
    /// Empty for what is cluster-scoped, or asked for in all namespaces.
    pub namespace: String,
    /// Empty where no single object was asked for.
    pub name: String,
    /// Path and query.
    pub uri: String,
    /// The status code of the answer.
    pub code: u16,
    /// A watch that has not ended.
    pub open: bool,
}

impl Request {
    /// Whether this is a watch, whatever became of it.
    pub(crate) fn is_watch(&self) -> bool {
        self.verb == "watch"
    }
}

/// The audit log of one control plane. Those of earlier runs of its API server are kept beside it.
#[derive(Debug)]
pub(crate) struct AuditLog {
    folder: PathBuf,
}

impl AuditLog {
    /// Writes the audit policy: everything but what the control plane does for itself.
    pub(crate) fn new(folder: &Path) -> Result<Self> {
        let policy = json!({
            "apiVersion": "audit.k8s.io/v1",
            "kind": "Policy",
            "omitStages": ["RequestReceived"],
            "rules": [
                {"level": "None", "users": [
                    "system:apiserver", "system:kube-controller-manager", "system:anonymous",
                ]},
                {"level": "Metadata"},
            ],
        });
        let log = Self { folder: folder.to_owned() };
        std::fs::write(log.policy_file(), policy.to_string())?;
        Ok(log)
    }

    /// For `--audit-policy-file`.
    pub(crate) fn policy_file(&self) -> PathBuf {
        self.folder.join("audit-policy.json")
    }

    /// For `--audit-log-path`.
    pub(crate) fn file(&self) -> PathBuf {
        self.folder.join("audit.json")
    }

    /// To be called when the API server is down: its watches ended with it, untold.
    pub(crate) fn close(&self) -> Result<()> {
        let run = self.earlier().count();
        Ok(std::fs::rename(self.file(), self.earlier_file(run))?)
    }

    /// All requests so far whose user's name `whose` accepts, oldest first; a watch counts from its start.
    pub(crate) fn requests(&self, whose: impl Fn(&str) -> bool) -> Result<Vec<Request>> {
        let mut all = Vec::new();
        for path in self.earlier() {
            let mut earlier = read(&path, &whose)?;
            earlier.iter_mut().for_each(|request| request.open = false);
            all.append(&mut earlier);
        }
        all.append(&mut read(&self.file(), &whose)?);
        Ok(all)
    }

    fn earlier_file(&self, run: usize) -> PathBuf {
        self.folder.join(format!("audit.{run}.json"))
    }

    fn earlier(&self) -> impl Iterator<Item = PathBuf> {
        (0..).map(|run| self.earlier_file(run)).take_while(|path| path.exists())
    }
}

fn read(path: &Path, whose: &impl Fn(&str) -> bool) -> Result<Vec<Request>> {
    let mut requests = Vec::<(String, Request)>::new();
    // The last line may still be on its way: what does not end in a line feed is left for the next time.
    let text = std::fs::read_to_string(path).unwrap_or_default();
    for line in text.split_inclusive('\n').filter(|line| line.ends_with('\n')) {
        let event: Event = serde_json::from_str(line)?;
        if !whose(&event.user.username) {
            continue;
        }
        let ended = event.stage == "ResponseComplete" || event.stage == "Panic";
        // A watch has two events, its start and its end.
        match requests.iter_mut().rev().find(|(id, _)| *id == event.audit_id) {
            Some((_, known)) => known.open = !ended,
            None => requests.push((event.audit_id.clone(), event.into_request(!ended))),
        }
    }
    Ok(requests.into_iter().map(|(_, request)| request).collect())
}

/// <https://kubernetes.io/docs/reference/config-api/apiserver-audit.v1/>, as far as it is read here.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    #[serde(rename = "auditID")]
    audit_id: String,
    stage: String,
    verb: String,
    #[serde(rename = "requestURI")]
    request_uri: String,
    user: User,
    #[serde(default)]
    user_agent: String,
    request_received_timestamp: jiff::Timestamp,
    #[serde(default)]
    object_ref: ObjectRef,
    #[serde(default)]
    response_status: ResponseStatus,
}

#[derive(Deserialize)]
struct User {
    username: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct ObjectRef {
    api_group: String,
    resource: String,
    subresource: String,
    namespace: String,
    name: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct ResponseStatus {
    code: u16,
}

impl Event {
    fn into_request(self, open: bool) -> Request {
        let ObjectRef { api_group, resource, subresource, namespace, name } = self.object_ref;
        Request {
            user: self.user.username,
            agent: self.user_agent,
            at: self.request_received_timestamp,
            verb: self.verb,
            group: api_group,
            resource,
            subresource,
            namespace,
            name,
            uri: self.request_uri,
            code: self.response_status.code,
            open,
        }
    }
}
