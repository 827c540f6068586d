public import FixedMemory

/// PAM services whose remote host (PAM_RHOST) may be a host name.
///
/// The owner of a DNS zone can name a host `192.0.2.7`, which looks like an address. So `trusted_networks` and
/// `grace_period` do not apply to these services.
public enum HostNameService: UInt8, Sendable {
  case login
  case remote
  case telnet
  case rlogin
  case rsh
  case rexec
  case ftp

  /// Raw values are 0 ..< `count`.
  public static var count: UInt8 { 7 }

  /// The PAM service.
  public var name: Literal {
    switch self {
    case .login: "login"
    case .remote: "remote"
    case .telnet: "telnet"
    case .rlogin: "rlogin"
    case .rsh: "rsh"
    case .rexec: "rexec"
    case .ftp: "ftp"
    }
  }

  /// Why PAM_RHOST may be a name, for the end of a message.
  public var reason: Literal {
    switch self {
    case .login: "login(1) of shadow and BusyBox reports the name that telnetd passes with -h"
    case .remote: "login(1) of util-linux reports the name that telnetd or agetty passes with -h"
    case .telnet: "telnetd reports the name that DNS gives for the client's address"
    case .rlogin: "rlogind reports the name that DNS gives for the client's address"
    case .rsh: "rshd reports the name that DNS gives for the client's address"
    case .rexec: "rexecd reports the name that DNS gives for the client's address"
    case .ftp: "ftpd reports the name that DNS gives for the client's address"
    }
  }

  /// The service with this name, or nil.
  public static func named(_ name: Span<UInt8>) -> HostNameService? {
    var values = Counter(to: Int(count))
    while let value = values.next() {
      let service = HostNameService(rawValue: UInt8(truncatingIfNeeded: value))
      if let service, name.isEqual(to: service.name) { return service }
    }
    return nil
  }
}
