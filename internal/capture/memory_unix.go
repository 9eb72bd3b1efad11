//go:build unix

package capture

import "syscall"

// mapMemory reserves memory that becomes resident as it is used.
func mapMemory(size int) ([]byte, error) {
	return syscall.Mmap(-1, 0, size, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
}

func unmapMemory(p []byte) error { return syscall.Munmap(p) }
