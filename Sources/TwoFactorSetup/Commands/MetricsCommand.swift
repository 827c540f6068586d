import ArgumentParser
import Glibc
import HostAccess

struct MetricsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "metrics",
    abstract: "Write the state of this host for Prometheus. Root only.",
    discussion: """
      Writes the numbers of accounts that are enrolled, not enrolled, missing, throttled, locked, or low on backup \
      codes, and the findings of twofactor doctor by check, in the text format of Prometheus. It names no users, and \
      is about all accounts, so it refuses --user. With --output, it replaces the file at once, for \
      the textfile collector of node_exporter; if it fails, the old file stays, and its timestamp shows the age. The \
      exit status is 0 whatever doctor finds.
      """)

  @Option(
    help: ArgumentHelp(
      "Write to a file with mode 0644, in a folder that only root can write.", valueName: "file"),
    completion: .file(extensions: ["prom"]))
  var output: String?

  @OptionGroup(title: "Common options")
  var common: CommonOptions

  func validate() throws {
    guard common.user == nil else { throw ValidationError("The command is about all accounts: omit --user.") }
  }

  func run() throws {
    guard getuid() == 0, geteuid() == 0 else {
      throw SetupError(
        .notPermitted, "only root may examine all accounts", hint: "run it as root: sudo twofactor metrics")
    }
    // Fail before the host is examined.
    let file = try output.map { try PublicFile($0) }
    let metrics = HostMetrics.measured()
    if let file { try file.replace(with: metrics.text) }
    guard common.json || output == nil else { return }
    let stream = OutputStream.standardOutput
    try stream.write(common.json ? metrics.json.text + "\n" : metrics.text)
    try stream.flush()
  }
}
