public import HelperProtocol

/// The exit statuses of a process that serves one request, as in sysexits.h.
public enum HelperExit {
  /// Arguments were given.
  public static var usage: Int32 { 64 }

  /// The process could not be prepared.
  public static var system: Int32 { 71 }

  /// The request failed, or no answer can be written.
  public static var inputOutput: Int32 { 74 }

  /// The exit status for an answer.
  public static func status(_ status: HelperStatus) -> Int32 {
    switch status {
    case .done: 0
    case .malformed, .unknownVersion, .unknownRequest: 65
    case .refused, .absent, .forbidden, .noTicket: 77
    case .unavailable: 78
    case .failed: inputOutput
    }
  }
}
