"""The truth: real Postfix, Exim and Sendmail, each on a stage of its own as an open relay.

Every server takes mail for anybody and throws it away; it has no DNS, no route and no
users of this machine.  A module constant is the whole configuration, so that one can see
what the personas are compared with.
"""

import os
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec
from tests.fidelity import debian
from tests.fidelity.debian import Missing
from tests.fidelity.stage import STARTING, Stage, uid_of

HOST: Final = "mx1.example.net"
SCRATCH: Final = Path("/run")  # no directory above it that others may write: servers look
SELF_SIGNED: Final = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]

POSTFIX_MAIN: Final = """\
compatibility_level = 3.6
queue_directory = {at}/queue
data_directory = {at}/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
mail_owner = postfix
setgid_group = postdrop
maillog_file = {at}/maillog
maillog_file_prefixes = {at}
myhostname = mx1.example.net
mydestination =
mynetworks = 0.0.0.0/0
inet_interfaces = all
inet_protocols = ipv4
alias_maps =
alias_database =
local_recipient_maps =
default_transport = discard:
relay_transport = discard:
local_transport = discard:
smtpd_peername_lookup = no
disable_dns_lookups = yes
smtpd_tls_security_level = may
smtpd_tls_cert_file = {at}/cert.pem
smtpd_tls_key_file = {at}/key.pem
"""

POSTFIX_MASTER: Final = """\
{port}    inet  n - n - - smtpd
cleanup   unix  n - n - 0 cleanup
qmgr      unix  n - n 300 1 qmgr
tlsmgr    unix  - - n 1000? 1 tlsmgr
rewrite   unix  - - n - - trivial-rewrite
bounce    unix  - - n - 0 bounce
defer     unix  - - n - 0 bounce
trace     unix  - - n - 0 bounce
flush     unix  n - n 1000? 0 flush
proxymap  unix  - - n - - proxymap
error     unix  - - n - - error
retry     unix  - - n - - error
discard   unix  - - n - - discard
anvil     unix  - - n - 1 anvil
postlog   unix-dgram n - n - 1 postlogd
"""

EXIM: Final = """\
primary_hostname = mx1.example.net
spool_directory = {at}/spool
log_file_path = {at}/spool/%slog
daemon_smtp_ports = {port}
local_interfaces = 0.0.0.0
queue_only
host_lookup =
rfc1413_hosts =
hosts_require_helo = *
tls_certificate = {at}/cert.pem
tls_privatekey = {at}/key.pem
smtp_accept_max = 0
smtp_accept_queue = 0
acl_smtp_rcpt = everybody
acl_smtp_data = everything
begin acl
everybody:
  accept
everything:
  accept
begin routers
nowhere:
  driver = redirect
  data = :blackhole:
"""


POSTFIX_AUTH: Final = """\
smtpd_sasl_auth_enable = yes
"""

SASL: Final = """\
pwcheck_method: auxprop
auxprop_plugin: sasldb
sasldb_path: {at}/config/sasl/db
mech_list: PLAIN LOGIN CRAM-MD5
"""

EXIM_AUTH: Final = """\
begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  server_prompts = :
  server_condition = false
login:
  driver = plaintext
  public_name = LOGIN
  server_prompts = Username:: : Password::
  server_condition = false
cram:
  driver = cram_md5
  public_name = CRAM-MD5
  server_secret = secret
"""

SENDMAIL: Final = """\
divert(-1)
include(`{cf}/m4/cf.m4')
OSTYPE(`linux')
define(`confDOMAIN_NAME', `mx1.example.net')
define(`confPRIVACY_FLAGS', `authwarnings,novrfy,noexpn,restrictqrun')
define(`confPID_FILE', `{at}/pid')
define(`confTO_IDENT', `0')
define(`confQUEUE_LA', `10000')
define(`confREFUSE_LA', `10000')
define(`confDELAY_LA', `0')
define(`confSERVICE_SWITCH_FILE', `{at}/switch')
define(`confHOSTS_FILE', `/etc/hosts')
define(`confDONT_PROBE_INTERFACES', `True')
define(`QUEUE_DIR', `{at}/queue')
define(`STATUS_FILE', `{at}/statistics')
define(`HELP_FILE', `{at}/helpfile')
define(`ALIAS_FILE', `{at}/aliases')
define(`confCACERT_PATH', `{at}')
define(`confCACERT', `{at}/cert.pem')
define(`confSERVER_CERT', `{at}/cert.pem')
define(`confSERVER_KEY', `{at}/key.pem')
define(`confDONT_BLAME_SENDMAIL', `GroupReadableKeyFile')
FEATURE(`no_default_msa')
FEATURE(`nocanonify')
FEATURE(`promiscuous_relay')
FEATURE(`accept_unresolvable_domains')
DAEMON_OPTIONS(`Family=inet, Name=MTA, Port={port}, M=A')
MAILER(`smtp')
LOCAL_NET_CONFIG
R$* < @ $* > $*	$#nowhere $@ $2 $: $1 < @ $2 > $3
MAILER_DEFINITIONS
Mnowhere, P=/bin/true, F=lsDFMnqeu, A=true
"""


class Server(msgspec.Struct, frozen=True):
    """A running server: the stage it is on, its port there, and what its files hold."""

    name: str  # of the persona that imitates it, "+auth" where AUTH is offered
    stage: Stage
    port: int


def postfix(stage: Stage, port: int, more: str = "") -> None:
    """Start Debian's Postfix, which has to be installed."""
    if shutil.which("postfix") is None:
        raise Missing("no Postfix installed")
    at = stage.scratch
    for directory in ("config", "queue", "data"):
        (at / directory).mkdir(exist_ok=True)
    (at / "config" / "main.cf").write_text(POSTFIX_MAIN.format(at=at) + more)
    (at / "config" / "master.cf").write_text(POSTFIX_MASTER.format(port=port))
    shutil.chown(at / "data", "postfix")
    stage.run(["postfix", "-c", str(at / "config"), "start-fg"])


def postfix_auth(stage: Stage, port: int) -> None:
    """Start Postfix with Cyrus SASL and one user, whose password nobody knows."""
    if shutil.which("saslpasswd2") is None:
        raise Missing("no sasl2-bin installed")
    sasl = stage.scratch / "config" / "sasl"  # where Debian's build looks
    sasl.mkdir(parents=True)
    (sasl / "smtpd.conf").write_text(SASL.format(at=stage.scratch))
    subprocess.run(
        ["saslpasswd2", "-p", "-c", "-f", str(sasl / "db"), "-u", HOST, "nobody"],
        input=secrets.token_bytes(16).hex().encode(),
        check=True,
    )
    shutil.chown(sasl / "db", "postfix")
    postfix(stage, port, POSTFIX_AUTH)


def exim_auth(stage: Stage, port: int) -> None:
    """Start Exim with three authenticators that let nobody in."""
    exim(stage, port, EXIM_AUTH)


def exim(stage: Stage, port: int, more: str = "") -> None:
    """Start Debian's Exim, fetched and unpacked where it is not yet."""
    root, at = debian.unpacked(*debian.EXIM), stage.scratch
    (at / "exim.conf").write_text(EXIM.format(at=at, port=port) + more)
    (at / "spool").mkdir()
    shutil.chown(at / "spool", uid_of(at, "Debian-exim"))
    shutil.chown(at / "key.pem", uid_of(at, "Debian-exim"))
    program = str(root / "usr/sbin/exim4")
    stage.run([program, "-C", str(at / "exim.conf"), "-bdf"], debian.libraries(root))


def sendmail(stage: Stage, port: int) -> None:
    """Start Debian's Sendmail, fetched and unpacked where it is not yet."""
    root = debian.unpacked(*debian.SENDMAIL)
    at, cf = stage.scratch, root / "usr/share/sendmail/cf"
    (at / "queue").mkdir(mode=0o700)
    (at / "switch").write_text("hosts files\naliases files\n")
    (at / "aliases").write_text("postmaster: root\n")
    # It reads no file below a directory that others may write, wherever this checkout lies.
    shutil.copyfile(root / "etc/mail/helpfile", at / "helpfile")
    m4 = [str(root / "usr/bin/m4"), f"-D_CF_DIR_={cf}/"]
    text = SENDMAIL.format(at=at, cf=cf, port=port)
    made = subprocess.run(m4, input=text, capture_output=True, text=True, check=True)
    (at / "sendmail.cf").write_text(made.stdout)
    program = [str(root / "usr/libexec/sendmail/sendmail"), f"-C{at}/sendmail.cf"]
    stage.run([*program, "-bi"], debian.libraries(root)).wait(STARTING)
    stage.run([*program, "-bD", "-X", str(at / "traffic")], debian.libraries(root))


SERVERS: Final[dict[str, Callable[[Stage, int], None]]] = {
    "postfix-3.7": postfix,
    "exim-4.96": exim,
    "sendmail-8.17": sendmail,
    "exim-4.96+auth": exim_auth,
    "postfix-3.7+auth": postfix_auth,
}


@contextmanager
def running(name: str, port: int = 25) -> Iterator[Server]:
    """Have the real server that persona ``name`` imitates, for as long as wanted.

    Raises:
        Missing: it cannot be had here; the text says why.
    """
    if not os.access(SCRATCH, os.W_OK):
        raise Missing(f"{SCRATCH} is not ours to write")
    with tempfile.TemporaryDirectory(prefix="fidelity-", dir=SCRATCH) as directory:
        scratch = Path(directory)
        scratch.chmod(0o755)
        certify(scratch)
        with Stage(scratch) as stage:
            SERVERS[name](stage, port)
            stage.await_greeting(port)
            yield Server(name, stage, port)


def certify(scratch: Path) -> None:
    """Make a self-signed certificate for the server."""
    if not (scratch / "cert.pem").exists():
        subprocess.run(
            [*SELF_SIGNED, "-subj", f"/CN={HOST}", "-keyout", "key.pem", "-out", "cert.pem"],
            cwd=scratch,
            capture_output=True,
            check=True,
        )
    (scratch / "key.pem").chmod(0o600)
