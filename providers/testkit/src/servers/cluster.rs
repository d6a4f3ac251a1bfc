//! Three OpenBao servers that keep one another's data by Raft, over TLS: what a leader's death looks
//! like.

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::openbao::bao;
use super::{Admin, Running, free_port, until};
use crate::web::Authority;

const NODES: usize = 3;

/// A running cluster.
#[derive(Debug)]
pub struct Cluster {
    folder: tempfile::TempDir,
    nodes: Vec<Node>,
    ca: String,
    token: String,
    unseal: String,
}

#[derive(Debug)]
struct Node {
    api: u16,
    process: Option<Running>,
}

impl Cluster {
    /// Starts one and waits until all three vote.
    ///
    /// # Panics
    /// If OpenBao is not installed, or does not come to that in a minute.
    pub fn start() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let authority = Authority::new();
        let (certificate, key) = authority.sign(&["127.0.0.1", "localhost"]);
        let write = |name: &str, text: &str| {
            std::fs::write(folder.path().join(name), text).expect("the folder is ours");
        };
        write("ca.pem", &authority.pem());
        write("cert.pem", &certificate);
        write("key.pem", &key);
        let ports: Vec<(u16, u16)> = (0..NODES).map(|_| (free_port(), free_port())).collect();
        for (n, (api, cluster)) in ports.iter().enumerate() {
            std::fs::create_dir(folder.path().join(format!("data{n}")))
                .expect("the folder is ours");
            write(
                &format!("{n}.hcl"),
                &config(folder.path(), n, *api, *cluster, &ports),
            );
        }
        let nodes = ports.iter().map(|(api, _)| Node {
            api: *api,
            process: None,
        });
        let mut cluster = Self {
            nodes: nodes.collect(),
            folder,
            ca: authority.pem(),
            token: String::new(),
            unseal: String::new(),
        };
        for n in 0..NODES {
            cluster.run(n);
        }
        cluster.initialise();
        cluster
    }

    fn run(&mut self, n: usize) {
        let folder = self.folder.path();
        let log =
            std::fs::File::create(folder.join(format!("log{n}"))).expect("the folder is ours");
        let mut command: Command = bao();
        command
            .arg("server")
            .arg("-config")
            .arg(folder.join(format!("{n}.hcl")))
            .env("HOME", folder)
            .stdout(Stdio::null())
            .stderr(log);
        self.nodes[n].process = Some(Running(command.spawn().expect("OpenBao can be run")));
    }

    fn initialise(&mut self) {
        let first = self.admin_of(0);
        until("the first node listens", || {
            first.call("GET", "sys/init", None).0 == 200
        });
        let shares = json!({ "secret_shares": 1, "secret_threshold": 1 });
        let made = first.ok("POST", "sys/init", &shares);
        self.unseal = made["keys_base64"][0].as_str().expect("a key").to_owned();
        self.token = made["root_token"].as_str().expect("a token").to_owned();
        for n in 0..NODES {
            self.unseal(n);
        }
        let admin = self.admin_of(0);
        until("the first node leads", || {
            admin.call("GET", "sys/health", None).0 == 200
        });
        let steady = json!({
            "server_stabilization_time": "1s",
            "min_quorum": 3,
            "cleanup_dead_servers": false,
        });
        until("autopilot takes its settings", || {
            admin
                .call(
                    "POST",
                    "sys/storage/raft/autopilot/configuration",
                    Some(&steady),
                )
                .0
                == 204
        });
        self.until_all_vote(&admin);
        let engine = json!({ "type": "kv", "options": { "version": "2" } });
        admin.ok("POST", "sys/mounts/secret", &engine);
        // A new engine is prepared for a moment.
        until("the engine is ready", || {
            let probe = json!({ "data": { "A": "a" } });
            admin.call("POST", "secret/data/probe", Some(&probe)).0 == 200
        });
    }

    fn until_all_vote(&self, admin: &Admin) {
        until("all three vote", || {
            let (_, state) = admin.call("GET", "sys/storage/raft/configuration", None);
            let servers = state["data"]["config"]["servers"].as_array().cloned();
            let votes = |server: &Value| server["voter"] == json!(true);
            servers.is_some_and(|servers| servers.len() == NODES && servers.iter().all(votes))
        });
    }

    fn unseal(&self, n: usize) {
        let admin = self.admin_of(n);
        let key = json!({ "key": self.unseal });
        until("a node is unsealed", || {
            // A node that has not joined yet takes no key.
            let (status, state) = admin.call("POST", "sys/unseal", Some(&key));
            status == 200 && state["sealed"] == json!(false)
        });
    }

    fn admin_of(&self, n: usize) -> Admin {
        Admin {
            address: format!("https://127.0.0.1:{}", self.nodes[n].api),
            token: self.token.clone(),
            ca: Some(self.ca.clone()),
        }
    }

    /// The addresses of all nodes.
    pub fn addresses(&self) -> Vec<String> {
        let addresses = self
            .nodes
            .iter()
            .map(|node| format!("https://127.0.0.1:{}", node.api));
        addresses.collect()
    }

    /// The authority's certificate, as a file.
    pub fn ca_file(&self) -> std::path::PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// The root token.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// Which node leads; `None` while none does.
    pub fn leader(&self) -> Option<usize> {
        let alive = (0..NODES).filter(|n| self.nodes[*n].process.is_some());
        alive
            .into_iter()
            .find(|n| self.admin_of(*n).call("GET", "sys/health", None).0 == 200)
    }

    /// Speaks to whoever leads.
    ///
    /// # Panics
    /// If nobody does, in a minute.
    pub fn admin(&self) -> Admin {
        let mut leader = None;
        until("a node leads", || {
            leader = self.leader();
            leader.is_some()
        });
        self.admin_of(leader.expect("found"))
    }

    /// Kills the leader as a power cut would (SIGKILL), and says which it was.
    ///
    /// # Panics
    /// If none leads, in a minute.
    pub fn kill_leader(&mut self) -> usize {
        let mut leader = None;
        until("a node leads", || {
            leader = self.leader();
            leader.is_some()
        });
        let n = leader.expect("found");
        if let Some(mut process) = self.nodes[n].process.take() {
            process.kill();
        }
        n
    }

    /// Starts a node that was killed, with the data it had, and waits until all three vote again.
    ///
    /// # Panics
    /// If it does not come back in a minute.
    pub fn revive(&mut self, n: usize) {
        self.run(n);
        self.unseal(n);
        let admin = self.admin();
        self.until_all_vote(&admin);
    }
}

fn config(folder: &Path, n: usize, api: u16, cluster: u16, ports: &[(u16, u16)]) -> String {
    let folder = folder.display();
    let joins: String = ports
        .iter()
        .map(|(api, _)| {
            format!(
                "  retry_join {{\n    leader_api_addr = \"https://127.0.0.1:{api}\"\n    \
                 leader_ca_cert_file = \"{folder}/ca.pem\"\n  }}\n"
            )
        })
        .collect();
    format!(
        "storage \"raft\" {{\n  path = \"{folder}/data{n}\"\n  node_id = \"n{n}\"\n  \
         performance_multiplier = 1\n{joins}}}\n\
         listener \"tcp\" {{\n  address = \"127.0.0.1:{api}\"\n  cluster_address = \"127.0.0.1:{cluster}\"\n  \
         tls_cert_file = \"{folder}/cert.pem\"\n  tls_key_file = \"{folder}/key.pem\"\n}}\n\
         api_addr = \"https://127.0.0.1:{api}\"\ncluster_addr = \"https://127.0.0.1:{cluster}\"\n\
         disable_mlock = true\nui = false\n"
    )
}
