import FixedMemory
import Foundation
import Testing
import Verification

@testable import LoginPolicy

/// What is written about the options, held to the table in the code: names, ranges, defaults, words.
@Suite struct PolicyDocumentationTests {
  private static let options = (0..<PolicyOption.count).compactMap(PolicyOption.init(rawValue:))

  private static func read(_ path: String) throws -> String {
    let root = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../..")
    return try String(contentsOf: root.appending(path: path), encoding: .utf8)
  }

  /// The row of the tables in `pam/options.md`.
  private static func row(_ option: PolicyOption) -> String {
    let form = option.name.string + (option.placeholder.map { (option.place == .file ? " = " : "=") + $0.string } ?? "")
    let value: String
    switch option.kind {
    case .flag: value = option.defaultValue?.string ?? ""
    default: value = option.defaultValue.map { $0.byteCount > 2 ? "`\($0.string)`" : $0.string } ?? "none"
    }
    let range = option.rangeText.map { $0 + ": " } ?? ""
    return "| `\(form)` | \(value) | \(range)\(option.help.string) |"
  }

  @Test func theOptionsPageHasEveryOptionWithItsDefaultAndRange() throws {
    let lines = try Self.read("pam/options.md").split(separator: "\n").map(String.init)
    let expected = Self.options.map(Self.row)
    #expect(lines.filter(expected.contains) == expected, "\(expected.joined(separator: "\n"))")
    let names = Set(Self.options.map(\.name.string))
    let others = lines.filter { line in
      line.hasPrefix("| `") && names.contains { line.hasPrefix("| `\($0)`") || line.hasPrefix("| `\($0)=") }
    }
    #expect(others.allSatisfy(expected.contains))
  }

  @Test(arguments: options) func theDefaultIsWhatHoldsWhereNothingIsSaid(option: PolicyOption) throws {
    let nothing = Policy()
    try nothing.check()
    #expect(option.value(in: nothing) == option.defaultValue?.string)
    guard let text = option.defaultValue, option != .conf else { return }
    var policy = Policy()
    try policy.read(file: buffer("\(option.name.string) = \"\(text.string)\""))
    try policy.check()
    #expect(option.value(in: policy) == text.string)
  }

  /// What stands below each `.It Cm NAME` of a manual page.
  private func paragraphs(_ page: String) throws -> [String: String] {
    let parts = try Self.read("pam/man/" + page).components(separatedBy: "\n.It Cm ").dropFirst()
    return Dictionary(
      parts.map { part in
        let text = part.components(separatedBy: "\n.El")[0]
        let words = text.replacing("\n", with: " ")
        return (String(text.prefix { $0.isLowercase || $0 == "_" }), words)
      }, uniquingKeysWith: { first, _ in first })
  }

  @Test(arguments: options.filter { $0.place != .file })
  func theModulesPageSaysRangeAndDefault(option: PolicyOption) throws {
    let text = try #require(try paragraphs("pam_twofactor.8")[option.name.string])
    if let range = option.rangeText { #expect(text.contains(range)) }
    switch (option.kind, option.defaultValue) {
    case (.flag, let value?) where value.string == "no": break
    case (_, let value?):
      let forms = [
        "\(value.string).", "\(value.string):", ".Pa \(value.string) .", ".Pa \(value.string) ,",
        ".Ql \"\(value.string)\" .",
      ]
      #expect(forms.contains { text.contains("The default is \($0)") }, "\(text)")
    case (_, nil): #expect(!text.contains("The default is"))
    }
    if option.placeholder != nil { #expect(text.hasPrefix("\(option.name.string) Ns = Ns ")) }
  }

  @Test(arguments: options.filter { $0.place != .arguments })
  func theFilesPageSaysRangeAndDefault(option: PolicyOption) throws {
    let text = try #require(try paragraphs("twofactor.conf.5")[option.name.string])
    if let range = option.rangeText { #expect(text.contains(range)) }
    if let value = option.defaultValue {
      #expect(text.contains("default") && text.contains(value.string), "\(text)")
    } else if option != .issuer, option != .notify {
      #expect(!text.contains("default"))
    }
  }

  @Test func theSampleHasEveryOptionWithItsDefaultAndRange() throws {
    let sample = try Self.read("pam/twofactor.conf")
    var named: [String] = []
    for block in sample.components(separatedBy: "\n\n") {
      let lines = block.split(separator: "\n").filter { $0.hasPrefix("#") }
      let words = lines.filter { $0.hasPrefix("# ") }.map { $0.dropFirst(2) }.joined(separator: " ")
      for line in lines where !line.hasPrefix("# ") && line.contains(" = ") {
        let name = String(line.dropFirst().prefix { $0 != " " })
        let option = try #require(Self.options.first { $0.name.string == name }, "\(line)")
        named.append(name)
        if let range = option.rangeText { #expect(words.contains(range), "\(name)") }
        guard let value = option.defaultValue?.string else {
          #expect(words.contains("Example"), "\(name) has no default and is no example")
          continue
        }
        #expect(["#\(name) = \(value)", "#\(name) = \"\(value)\""].contains(String(line)))
      }
    }
    #expect(named.sorted() == Self.options.filter { $0.place != .arguments }.map(\.name.string).sorted())
  }

  @Test func theSampleIsUnderstoodAsItIsAndWithEveryLineTakenOutOfItsComment() throws {
    let sample = try Self.read("pam/twofactor.conf")
    var asItIs = Policy()
    try asItIs.read(file: buffer(sample))
    try asItIs.check()
    let open = sample.replacing(/(?m)^#(?=[a-z_]+ = )/, with: "")
    #expect(open != sample)
    var policy = Policy()
    try policy.read(file: buffer(open))
    try policy.check()
    for option in Self.options where option.place != .arguments {
      let (usual, value) = (option.value(in: asItIs), option.value(in: policy))
      #expect(usual == option.defaultValue?.string)
      #expect(value != nil, "\(option.name.string)")
    }
  }
}

extension PolicyOption {
  /// The range, as people read it.
  fileprivate var rangeText: String? {
    switch kind {
    case .number(let range): "\(range.lowerBound) to \(range.upperBound)"
    case .text(let range): "\(range.lowerBound) to \(range.upperBound) bytes"
    case .label(let range): "\(range.lowerBound) to \(range.upperBound) bytes without colons"
    case .flag, .directory, .file, .networks, .words, .day: nil
    }
  }

  /// What a policy says of this option, as it would be written; nil for nothing.
  fileprivate func value(in policy: borrowing Policy) -> String? {
    func yes(_ flag: Bool) -> String { flag ? "yes" : "no" }
    func text(_ text: String) -> String? { text.isEmpty ? nil : text }
    switch self {
    case .nullok: return yes(policy.passesUnenrolled)
    case .directory: return policy.directory.string
    case .conf: return PolicyFile.usualPath.string
    case .prompt: return text(policy.prompt.string) ?? "Verification code: "
    case .echoCode: return yes(policy.echoesCode)
    case .tryFirstPass: return yes(policy.password.isTriedFirst)
    case .useFirstPass: return yes(policy.password.isUsedAlone)
    case .forwardPass: return yes(policy.password.isForwarded)
    case .window: return "\(policy.limits.window)"
    case .lookAhead: return "\(policy.limits.lookAhead)"
    case .maxFailures: return "\(policy.limits.maximumFailures)"
    case .backupCodes: return yes(policy.limits.acceptsBackupCodes)
    case .gracePeriod: return "\(policy.gracePeriod)"
    case .trustedNetworks: return text(policy.trustedNetworks.string)
    case .onlyGroups: return text(policy.onlyGroups.string)
    case .exemptGroups: return text(policy.exemptGroups.string)
    case .skipAfter: return text(policy.skippedMethods.string)
    case .requiredFrom: return policy.requiredFrom.map { "\($0.rawValue)" }
    case .debug: return yes(policy.isDebugging)
    case .issuer: return text(policy.issuer.string)
    case .requirePassword: return yes(policy.requiresPassword)
    case .allowDisable: return yes(policy.allowsDisabling)
    case .notify: return text(policy.notifier.string)
    }
  }
}
