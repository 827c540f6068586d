/// What is fuzzed: each takes any bytes, and ends the program where something does not hold that must.
///
/// They are linked into one program by `scripts/fuzz`, which is called by the name of a target.
enum FuzzTarget: String, CaseIterable {
  case credential
  case state
  case arguments
  case reply
  case configuration
  case login
  case imported
  case uri

  /// Runs the target once.
  func run(_ bytes: [UInt8]) {
    switch self {
    case .credential: fuzzCredential(bytes)
    case .state: fuzzState(bytes)
    case .arguments: fuzzArguments(bytes)
    case .configuration: fuzzConfiguration(bytes)
    case .reply: fuzzReply(bytes)
    case .imported: fuzzImported(bytes)
    case .uri: fuzzURI(bytes)
    case .login: LoginFuzzing(bytes).run()
    }
  }
}

/// The target of this program, by the name that it was called by.
nonisolated(unsafe) private var chosen: FuzzTarget?

/// What libFuzzer calls first.
@c(LLVMFuzzerInitialize)
public func initialize(
  count: UnsafeMutablePointer<Int32>, arguments: UnsafeMutablePointer<UnsafeMutablePointer<UnsafeMutablePointer<CChar>>>
) -> Int32 {
  let path = unsafe String(cString: arguments.pointee[0])
  let name = path.split(separator: "/").last.map(String.init) ?? ""
  guard let target = FuzzTarget(rawValue: name) else {
    fatalError("no target of the name \(name)")
  }
  unsafe chosen = target
  return 0
}

/// What libFuzzer calls with each input.
@c(LLVMFuzzerTestOneInput)
public func test(data: UnsafePointer<UInt8>?, size: Int) -> Int32 {
  let bytes = unsafe Array(UnsafeBufferPointer(start: data, count: size))
  unsafe chosen?.run(bytes)
  return 0
}

/// Ends the program where something does not hold, in every build.
func require(_ holds: Bool, _ what: @autoclosure () -> String) {
  if !holds { fatalError(what()) }
}
