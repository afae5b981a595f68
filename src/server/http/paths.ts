/** An absolute path, or anything in quotation marks that holds one or ends as one of our files does. */
const paths =
  /"[^"]*(?:[/\\][^"]*|\.(?:stopline|onnx|json|pem|db))"|'[^']*[/\\][^']*'|(?<![\w:/.])(?:[A-Za-z]:)?(?:[/\\][\w.@+%~-]+)+[/\\]?/g;

/** A message without the paths of this machine: whoever asks over HTTP need not know where its files are. The log has them. */
export function hidePaths(message: string): string {
  return message.replace(paths, 'a file of the service');
}
