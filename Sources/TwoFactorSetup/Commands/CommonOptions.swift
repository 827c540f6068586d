import ArgumentParser

/// The options of every subcommand.
struct CommonOptions: ParsableArguments {
  @Option(help: ArgumentHelp("Act for another account, with its rights. Root only.", valueName: "name"))
  var user: String?

  @Flag(help: "Write one JSON object to standard output; questions go to standard error.")
  var json = false
}
