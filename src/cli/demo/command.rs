//! The command: binds what a demo needs, writes its config and serves.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
};

use clap::Args;

use super::{
    super::{
        output::{CliError, Output},
        user,
    },
    accounts, banner,
    echo::Echo,
    folder::Folder,
    trouble::trouble,
};
use crate::{
    app::{self, Control, Gateway, Inherited, Making, Sockets, StartError},
    config::GatewaySettings,
    domain::SystemClock,
    edge::listen::Listen,
    observe::{events, lines::Lines},
};

/// The config of a demo, but for its three addresses.
const TEMPLATE: &str = include_str!("gateway.toml");

const DEFAULT_LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);

const DEFAULT_ADMIN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 9901);

/// The name of the upstream that the demo plays.
const UPSTREAM: &str = "echo";

#[derive(Debug, Args)]
pub(in crate::cli) struct Demo {
    /// Where clients connect; port 0 takes a free one [default: 127.0.0.1:8080]
    #[arg(long)]
    listen: Option<SocketAddr>,
    /// Where operators connect; port 0 takes a free one [default: 127.0.0.1:9901]
    #[arg(long)]
    admin: Option<SocketAddr>,
    /// Keep the demo's files here; a second start uses what is there
    #[arg(long)]
    dir: Option<PathBuf>,
}

/// What is bound before a file is touched.
struct Bound {
    sockets: Sockets,
    echo: Echo,
}

impl Demo {
    pub(in crate::cli) fn run(&self) -> Result<Output, CliError> {
        for &address in self.listen.iter().chain(&self.admin) {
            check_loopback(address)?;
        }
        // From here on Ctrl-C is heard, and ends the demo in order.
        let control = Control::start()?;
        let lines = Lines::start().map_err(StartError::from)?;
        let present = self.dir.as_ref().map(|dir| dir.join("gateway.toml")).filter(|config| config.exists());
        let (folder, config, settings, bound) = match present {
            Some(config) => self.again(config)?,
            None => self.first()?,
        };
        control.block_on(async {
            let (store, vault) = app::open_vault(&settings, Making::Allowed).await?;
            let examples = vault.by(user::actor()).audited_store();
            let provisioned = accounts::provision(&examples, &SystemClock).await;
            store.close().await;
            provisioned
        })?;
        events::start(&lines);
        let _upstream = bound.echo.serve()?;
        let front = bound.sockets.front().first().copied().unwrap_or(DEFAULT_LISTEN);
        let admin = bound.sockets.admin().map_err(StartError::from)?;
        lines.push(banner::text(front, admin, &config, &settings.admin.token_file).as_bytes());
        let gateway = Gateway::start(control, lines.clone(), config.clone(), settings, bound.sockets, None)
            .inspect_err(|_| lines.flush())?;
        gateway.run(None)?;
        drop(folder);
        Ok(Output::nothing())
    }

    /// A demo with nothing there yet: sockets first, then the folder and its config.
    fn first(&self) -> Result<(Folder, PathBuf, GatewaySettings, Bound), CliError> {
        let echo = Echo::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
        let sockets = Sockets::open(
            &[self.listen.unwrap_or(DEFAULT_LISTEN)],
            self.admin.unwrap_or(DEFAULT_ADMIN),
            Inherited::default(),
        )?;
        let folder = match &self.dir {
            Some(dir) => Folder::kept(dir)?,
            None => Folder::thrown_away()?,
        };
        let config = folder.path().join("gateway.toml");
        let listen = sockets.front().first().copied().unwrap_or(DEFAULT_LISTEN);
        let admin = sockets.admin().map_err(app::StartError::from)?;
        let text = TEMPLATE
            .replace("{listen}", &listen.to_string())
            .replace("{admin}", &admin.to_string())
            .replace("{echo}", &echo.address().to_string());
        fs::write(&config, text).map_err(|error| trouble(&config, &error))?;
        let settings = app::load(&config)?;
        Ok((folder, config, settings, Bound { sockets, echo }))
    }

    /// A demo on what an earlier one left: its config, with the addresses that are given now.
    fn again(&self, config: PathBuf) -> Result<(Folder, PathBuf, GatewaySettings, Bound), CliError> {
        let mut settings = app::load(&config)?;
        if let Some(listen) = self.listen {
            settings.server.listen = vec![Listen::in_the_clear(listen)];
        }
        if let Some(admin) = self.admin {
            settings.admin.listen = admin;
        }
        for address in settings.server.addresses().into_iter().chain([settings.admin.listen]) {
            check_loopback(address)?;
        }
        let server = settings.site.upstreams.iter_mut().find(|upstream| &*upstream.name == UPSTREAM);
        let server = server.and_then(|upstream| upstream.servers.first_mut());
        let named = server.and_then(|server| Some((server.name.parse::<SocketAddr>().ok()?, server)));
        let (address, server) = named.ok_or_else(|| {
            let config = config.display();
            CliError::Trouble(format!(
                "{config}: upstreams.{UPSTREAM}.servers must name one address, which the demo serves"
            ))
        })?;
        // The port was a free one, and somebody may have it by now: another one will do.
        let echo = Echo::bind(address).or_else(|_| Echo::bind(SocketAddr::new(address.ip(), 0)))?;
        server.name = echo.address().to_string().into();
        server.port = echo.address().port();
        let sockets = Sockets::open(&settings.server.addresses(), settings.admin.listen, Inherited::default())?;
        let folder = Folder::kept(config.parent().unwrap_or(Path::new(".")))?;
        Ok((folder, config, settings, Bound { sockets, echo }))
    }
}

fn check_loopback(address: SocketAddr) -> Result<(), CliError> {
    if address.ip().is_loopback() {
        return Ok(());
    }
    let text = format!("the demo's credentials are public, so it listens on loopback only, not on {address}");
    Err(CliError::Trouble(text))
}
