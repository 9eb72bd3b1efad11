package archtest

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// root is the top of the repository, seen from this package's folder, which
// is where go test runs its tests.
const root = "../.."

// sourceFile is one file of the repository.
type sourceFile struct {
	path string // slash-separated, relative to the top of the repository
	data []byte
}

func (f sourceFile) isGo() bool   { return strings.HasSuffix(f.path, ".go") }
func (f sourceFile) isTest() bool { return strings.HasSuffix(f.path, "_test.go") }

// generatedMark is the line by which Go tools know generated code.
var generatedMark = regexp.MustCompile(`(?m)^// Code generated .* DO NOT EDIT\.$`)

func (f sourceFile) isGenerated() bool { return generatedMark.Match(f.data) }

// isText tells sources and documents from images, archives and corpora.
func (f sourceFile) isText() bool { return !bytes.ContainsRune(f.data, 0) }

// parse returns the syntax tree of a Go file.
func (f sourceFile) parse(t *testing.T, mode parser.Mode) (*token.FileSet, *ast.File) {
	t.Helper()
	set := token.NewFileSet()
	tree, err := parser.ParseFile(set, f.path, f.data, mode)
	if err != nil {
		t.Fatalf("parse source: %v", err)
	}
	return set, tree
}

// builtFolders are the folders that tools fill and .gitignore leaves out.
var builtFolders = map[string]bool{".git": true, ".tmp": true, "bin": true, "node_modules": true}

// readTree returns every file of the repository but those that tools make.
func readTree(t *testing.T) []sourceFile {
	t.Helper()
	var files []sourceFile
	err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && builtFolders[entry.Name()] {
			return filepath.SkipDir
		}
		if !entry.Type().IsRegular() || entry.Name() == ".git" {
			return nil // in a worktree, .git is a file
		}
		data, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		files = append(files, sourceFile{path: filepath.ToSlash(rel), data: data})
		return nil
	})
	if err != nil {
		t.Fatalf("read the source tree: %v", err)
	}
	if len(files) == 0 {
		t.Fatal("the source tree is empty: is the test run from its own folder?")
	}
	return files
}

// moduleFolders returns the folders of the nested modules: those with a go.mod
// of their own, the top one aside.
func moduleFolders(files []sourceFile) []string {
	var folders []string
	for _, f := range files {
		if path.Base(f.path) == "go.mod" && path.Dir(f.path) != "." {
			folders = append(folders, path.Dir(f.path))
		}
	}
	return folders
}

// inMainModule reports whether the file belongs to module loom itself.
func inMainModule(f sourceFile, nested []string) bool {
	for _, folder := range nested {
		if strings.HasPrefix(f.path, folder+"/") {
			return false
		}
	}
	return true
}
